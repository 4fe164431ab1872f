"""What a dataset's text is made of: its normal form and its characters."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from visionkit.datasets.text_files import read_text
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Charset
from visionkit.text.character_ngrams import CharacterNGrams
from visionkit.text.normalise import Form, right_to_left
from visionkit.text.subwords import Subwords


@dataclass(frozen=True)
class TextRules:
    """How transcriptions become the text of samples, and which characters they may hold.

    The characters are those of the training split unless ``characters`` or ``charset`` lists them. A text for training
    with another character cannot be used. In evaluation it stays as it is: no recogniser can write that character, so
    it counts as an error of the recogniser; ``visionkit check`` names it.

    Args:
        normalization: Unicode normal form of every text.
        right_to_left: lines are read from the right; text stays in the order in which it is spoken. None: as
            most of the letters of the training text are written that have a direction of their own.
        characters: all characters, in any order; a mark behind a letter counts by itself and, where the normal form
            has them as one, together with it.
        charset: a UTF-8 file of such characters in which line breaks do not count.
        replace: pairs of what is replaced and by what, in this order and before everything else (``[["^", ""]]``).
        columns_per_height: columns that the recogniser makes of a picture as wide as high (height 32 and stride 4: 8);
            with it ``visionkit check`` reports lines that are too short for CTC to align their text.
        subwords: where the subwords come from that a ``SubwordTokenizer`` reads the text in; None for none.
        ngrams: where the n-grams of characters come from that ``generation=ctc_language`` or ``joint_language`` knows;
            None for none.

    Raises ConfigError: C185 unknown normal form, replacements that are no pairs, C186 characters that are none or given
    twice.
    """

    normalization: Form = "NFC"
    right_to_left: bool | None = None
    characters: str | None = None
    charset: str | Path | None = None
    replace: Sequence[Sequence[str]] = ()
    columns_per_height: float | None = None
    subwords: Subwords | None = None
    ngrams: CharacterNGrams | None = None

    def __post_init__(self) -> None:
        place, forms = "dataset.layout.text", get_args(Form)
        if self.normalization not in forms:
            fix = nearest(str(self.normalization), forms)
            raise ConfigError("C185", f"{place}.normalization", f"there is no normal form {self.normalization!r}", fix)
        pairs = all(len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in self.replace)
        if isinstance(self.replace, str) or not pairs:
            what = f"{self.replace!r} are no pairs of texts"
            raise ConfigError("C185", f"{place}.replace", what, 'write [["old", "new"]]')
        if self.characters is not None and self.charset is not None:
            raise ConfigError("C186", place, "characters and charset are both given", "leave one of them out")

    def clean(self, text: str) -> str:
        """A transcription in the normal form, every stretch of white space one space, none at the ends."""
        for old, new in self.replace:
            text = text.replace(old, new)
        return " ".join(unicodedata.normalize(self.normalization, text).split())

    def labels(self, training: Iterable[str], sentences: Iterable[str] | None = None) -> Charset:
        """The characters, sorted by code point, the subwords and the n-grams.

        Args:
            training: clean texts of the training split, or all that has its characters.
            sentences: what subwords and n-grams are learnt from where that is not ``training``.

        Raises ConfigError C186 where there is no character, C183 for a file of n-grams that cannot be read; what
        ``Subwords`` raise for theirs.
        """
        training = list(training)
        charset = self._charset(training)
        written = training if sentences is None or not (self.subwords or self.ngrams) else list(sentences)
        if self.subwords is not None:
            charset = replace(charset, merges=self.subwords.merges(written))
        if self.ngrams is not None:
            counted = written if self.ngrams.file is None else self._lines(Path(self.ngrams.file).expanduser())
            charset = replace(charset, ngrams=self.ngrams.counts(counted))
        return charset

    def _lines(self, file: Path) -> list[str]:
        try:
            lines = read_text(file).splitlines()
        except DataError as error:
            fix = "name a UTF-8 file in dataset.layout.text.ngrams.file, or set it to null"
            raise ConfigError("C183", error.place, error.what, fix) from error
        return [clean for clean in map(self.clean, lines) if clean]

    def _charset(self, training: Sequence[str]) -> Charset:
        found = Counter(one for text in training for one in unicodedata.normalize(self.normalization, text))
        if self.characters is None and self.charset is None:
            return self._sorted(found, found, "dataset.layout", "the training split has no text")
        listed = self._listed(self.characters or "")
        place = "dataset.layout.text.characters"
        if self.charset is None:
            return self._sorted(listed, found or listed, place, "there are no characters")
        try:
            listed = self._listed(read_text(Path(self.charset).expanduser()))
        except DataError as error:
            fix = "name a UTF-8 file in dataset.layout.text.charset, or set it to null"
            raise ConfigError("C186", error.place, error.what, fix) from error
        return self._sorted(listed, found or listed, str(self.charset), "holds no characters")

    def _listed(self, text: str) -> Counter[str]:
        """Characters of a list: each as it stands there, and together with the marks behind it in its line."""
        lines = text.replace("\r", "").split("\n")
        alone = (unicodedata.normalize(self.normalization, one) for line in lines for one in line)
        joined = (unicodedata.normalize(self.normalization, line) for line in lines)
        return Counter("".join([*alone, *joined]))

    def _sorted(self, characters: Mapping[str, int], written: Mapping[str, int], place: str, what: str) -> Charset:
        if not characters:
            raise ConfigError("C186", place, what, "list the characters in dataset.layout.text.characters")
        from_right = right_to_left(written) if self.right_to_left is None else self.right_to_left
        return Charset(tuple(sorted(characters)), self.normalization, from_right)


def shown(character: str) -> str:
    """A character for messages: as it looks and by its number."""
    return f"{character!r} (U+{ord(character):04X})"
