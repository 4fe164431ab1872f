"""Byte-level byte pair encoding: subwords of any script, over bytes, so that no character is unknown."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers, trainers

from visionkit.errors import ConfigError
from visionkit.labels import Charset
from visionkit.text.normalise import normalised
from visionkit.text.tokenizers import utf8

Merges = tuple[tuple[str, str], ...]
_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]
LETTERS = {byte: chr(byte) for byte in _PRINTABLE} | {byte: chr(256 + n) for n, byte in enumerate(_OTHERS)}
"""The letter that stands for each byte where subwords are written down (Radford et al. 2019, GPT-2)."""
_BYTES = {letter: byte for byte, letter in LETTERS.items()}
_HOW = "name a merges.txt, a tokenizer.json of Hugging Face, or the bundle.json of a model that reads in subwords"


@dataclass(frozen=True)
class Subwords:
    """Where the subwords of a dataset's text come from: a file, or else the text of the training split.

    Args:
        size: bytes and joined pairs at most; there are fewer where the texts are short.
        least: times that a pair must occur.
        file: ``merges.txt`` with a pair a line, ``tokenizer.json`` of Hugging Face, or ``bundle.json``.

    Raises ConfigError C179 for a size below the 256 bytes.
    """

    size: int = 1000
    least: int = 2
    file: str | Path | None = None

    def __post_init__(self) -> None:
        if self.size < len(LETTERS):
            what = f"{self.size} subwords are fewer than the {len(LETTERS)} bytes"
            fix = "give a larger size, or tokenizer=bytes"
            raise ConfigError("C179", "dataset.layout.text.subwords.size", what, fix)

    def merges(self, texts: Iterable[str]) -> Merges:
        """Pairs that are joined, the first first; ``texts`` are in the normal form. ConfigError C181 for the file."""
        return _learnt(texts, self.size, self.least) if self.file is None else _read(Path(self.file).expanduser())


class SubwordTokenizer:
    """An id for each byte of UTF-8 and for each joined pair of a charset's ``merges``; without any, bytes alone.

    A subword does not reach over a space, which begins the word after it.
    """

    start: ClassVar[int] = 0
    end: ClassVar[int] = 0
    blank: ClassVar[int] = 0

    def __init__(self, labels: Charset) -> None:
        self.normalization = labels.normalization
        self.tokens = list(dict.fromkeys([*LETTERS.values(), *(first + second for first, second in labels.merges)]))
        self.size = len(self.tokens) + 1
        self.library = _library(self.tokens, labels.merges)

    def encode(self, text: str) -> list[int]:
        """Ids of a text; half of a surrogate pair, which no text file can hold, is an error (DataError D112)."""
        text = normalised(text, self.normalization)
        utf8(text)
        return [number + 1 for number in self.library.encode(text).ids]

    def encode_known(self, text: str) -> list[int]:
        """Ids without halves of surrogate pairs."""
        return self.encode(text.encode(errors="ignore").decode())

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; bytes that are no UTF-8 give U+FFFD, special ids and those below 0 nothing."""
        letters = "".join(self.tokens[number - 1] for number in ids if number > 0)
        return bytes(_BYTES[letter] for letter in letters).decode(errors="replace")


def _library(tokens: Iterable[str] = (), merges: Merges = ()) -> Library:
    library = Library(models.BPE({token: index for index, token in enumerate(tokens)}, list(merges)))
    words = pre_tokenizers.Split(" ", "merged_with_next")
    library.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    return library


def _learnt(texts: Iterable[str], size: int, least: int) -> Merges:
    library = _library()
    alphabet = list(LETTERS.values())
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=least, initial_alphabet=alphabet, show_progress=False)
    library.train_from_iterator(texts, trainer)
    return tuple((first, second) for first, second in json.loads(library.to_str())["model"]["merges"])


def _read(file: Path) -> Merges:
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = _listed(json.loads(text)) if file.suffix.lower() == ".json" else _lines(text)
        merges = tuple((str(first), str(second)) for first, second in rows)
        SubwordTokenizer(Charset((), merges=merges))
    except OSError as error:
        raise ConfigError("C181", file, f"cannot be read ({error.strerror})", _HOW) from error
    except Exception as error:  # the library has no exception of its own for pairs that do not fit
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ConfigError("C181", file, f"holds no byte-level subwords ({reason})", _HOW) from error
    return merges


def _listed(content: Any) -> list[Any]:
    """Pairs of a ``tokenizer.json`` (older ones write a pair as one text) or of a bundle's text."""
    labels = content.get("labels", {}).get("text", {})
    rows = labels["merges"] if labels else content["model"]["merges"]
    return [row.split(" ") if isinstance(row, str) else row for row in rows]


def _lines(text: str) -> list[list[str]]:
    return [line.split(" ") for line in text.splitlines() if line and not line.startswith("#version")]
