"""Charsets from data and from files, and the characters that a charset lacks."""

import json
import string
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visionkit.errors import DataError
from visionkit.text.normalise import Form, described, normalised, right_to_left
from visionkit.types import Charset

_HOW = "write one character a line, or a JSON list of characters, each once and in the normal form"


def printable_ascii(space: bool = False) -> Charset:
    """The 94 digits, letters and punctuation marks of ASCII that scene text is read in, and the space if wanted."""
    characters = string.digits + string.ascii_letters + string.punctuation
    return Charset(tuple(characters + " " * space))


def charset_of(texts: Iterable[str], normalization: Form = "NFC", least: int = 1) -> Charset:
    """The characters of texts by code point; it is read from the right where most of them are.

    Args:
        texts: all labels.
        normalization: Unicode normal form that they are brought to first.
        least: times that a character must occur; rarer ones are then reported by ``unknown_characters``.
    """
    counts = Counter(character for text in texts for character in normalised(text, normalization))
    characters = sorted(character for character, count in counts.items() if count >= least)
    return Charset(tuple(characters), normalization, right_to_left(counts))


def read_charset(path: str | Path, normalization: Form = "NFC") -> Charset:
    """A charset from a file with one character (or cluster) a line, or from a JSON list.

    A line with one space is the space. Raises DataError: D11 the file cannot be read, D110 it is no charset.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        entries: Any = json.loads(text) if path.suffix.lower() == ".json" else _lines(text)
    except OSError as error:
        raise DataError(
            "D11", path, f"cannot be read ({error.strerror})", "check the path and its permissions"
        ) from error
    except ValueError as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError("D110", path, f"is not UTF-8 text or not valid JSON ({reason})", _HOW) from error
    if not isinstance(entries, list) or not entries:
        raise DataError("D110", path, "does not hold a list of characters", _HOW)
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, str) or not entry or normalised(entry, normalization) != entry:
            raise DataError("D110", f"{path}:{number}", f"{entry!r} is no character in the form {normalization}", _HOW)
    twice = next((entry for entry, count in Counter(entries).items() if count > 1), None)
    if twice is not None:
        raise DataError("D110", path, f"{described(twice)} occurs twice", _HOW)
    return Charset(tuple(entries), normalization, right_to_left(Counter(entries)))


@dataclass(frozen=True)
class UnknownCharacter:
    """A character of a label that the charset lacks: in which file and line, and how often in that line."""

    path: str
    line: int
    character: str
    count: int = 1

    def error(self) -> DataError:
        """The error that training would stop at."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        times = "" if self.count == 1 else f" {self.count} times"
        what = f"the charset lacks {described(self.character)}, which occurs here{times}"
        fix = "build the charset from all labels, correct the label, or let the tokenizer have an unknown token"
        return DataError("D111", place, what, fix)


def unknown_characters(lines: Iterable[tuple[str | Path, int, str]], charset: Charset) -> Iterator[UnknownCharacter]:
    """Every character of the labels that the charset lacks, once for each line that holds it.

    Args:
        lines: file, number of the line from 1 (0 where the file holds one label), and label.
        charset: what is known; labels are brought to its normal form first.
    """
    known = set(charset.characters)
    clusters = sorted((entry for entry in known if len(entry) > 1), key=len, reverse=True)
    for path, number, text in lines:
        rest = normalised(text, charset.normalization)
        for cluster in clusters:
            rest = rest.replace(cluster, "")
        for character, count in Counter(rest).items():
            if character not in known:
                yield UnknownCharacter(str(path), number, character, count)


def _lines(text: str) -> list[str]:
    """Lines of a file; only the line break itself ends one, since other kinds of it can be characters."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines
