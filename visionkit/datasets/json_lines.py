"""Files with a JSON object in each line, read where they are needed: the largest hold many gigabytes."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from visionkit.datasets.annotated_tables import parse_line
from visionkit.datasets.images import file_size
from visionkit.errors import DataError

_SPLIT = re.compile(rb'"split"\s*:\s*"([^"\\]*)"')
_FILENAME = re.compile(rb'"filename"\s*:\s*"((?:[^"\\]|\\.)*)"')


class Line(NamedTuple):
    """One line: where it begins, its number from 1, the split and the picture that it names ("" for none)."""

    offset: int
    number: int
    split: str
    filename: str


@dataclass
class JsonLines:
    """The lines of a file by split; ``""`` is the split of lines that name none."""

    path: Path
    lines: dict[str, list[Line]] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> "JsonLines":
        """Reads a file through once, and again only where it has changed.

        Raises DataError: D10 missing, D11 unreadable, D12 empty.
        """
        size = file_size(path)
        return _index(path, size, path.stat().st_mtime_ns)

    def read(self, line: Line) -> object:
        """The object of a line. Raises DataError: D11 unreadable, D135 no JSON."""
        try:
            with self.path.open("rb") as file:
                file.seek(line.offset)
                text = file.readline()
        except OSError as error:
            raise DataError("D11", self.path, f"cannot be read ({error.strerror})", "check its permissions") from error
        return parse_line(text, self.place(line))

    def place(self, line: Line) -> str:
        """What errors about a line are named by."""
        return f"{self.path}:{line.number}"


@lru_cache(maxsize=4)
def _index(path: Path, size: int, changed: int) -> JsonLines:
    found = JsonLines(path)
    for offset, number, text in _lines(path):
        split, name = _SPLIT.search(text), _FILENAME.search(text)
        line = Line(offset, number, sys.intern(_decoded(split)), _decoded(name))
        found.lines.setdefault(line.split, []).append(line)
    return found


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield offset, number, text
                offset += len(text)
    except OSError as error:
        raise DataError("D11", path, f"cannot be read ({error.strerror})", "check its permissions") from error


def _decoded(found: re.Match[bytes] | None) -> str:
    """What stands between quotes; as it is written where that is no JSON, or no text that can name a file."""
    written = found[1].decode("utf-8", "replace") if found else ""
    if "\\" not in written:
        return written
    try:
        text = str(json.loads(f'"{written}"'))
        text.encode()  # half of a surrogate pair cannot be encoded
    except ValueError:
        return written
    return written if "\0" in text else text
