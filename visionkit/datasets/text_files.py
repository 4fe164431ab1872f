"""Text from the disk: UTF-8, of bounded size, and tables of it."""

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from visionkit.datasets.images import file_size
from visionkit.errors import DataError

MAX_BYTES = 2**28
"""Larger files are refused: they are no transcriptions."""


def read_text(path: Path, limit_bytes: int = MAX_BYTES) -> str:
    """A UTF-8 file, with or without a byte order mark; an empty file is an empty text.

    Raises DataError: D10 missing, D11 unreadable, D120 not UTF-8, D134 too large.
    """
    try:
        size_bytes = file_size(path)
    except DataError as error:
        if error.code != "D12":
            raise
        return ""
    if size_bytes > limit_bytes:
        what = f"has {size_bytes} bytes; at most {limit_bytes} are read"
        raise DataError("D134", path, what, "see that it is the right file, or cut it into pieces")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 (byte {error.start})"
        raise DataError("D120", path, what, "save it as UTF-8") from error
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
        raise DataError("D11", path, what, "check the path and its permissions") from error


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a table that are not empty, with the numbers of their lines: .csv with quotes, else tabs without.

    Raises as ``read_text``, and DataError D123 for quotes that do not end.
    """
    text = read_text(path)
    if path.suffix.lower() != ".csv":
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield number, line.rstrip("\r").split("\t")
        return
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        what = f"line {reader.line_num} is no row of a table ({error})"
        raise DataError("D123", path, what, "write one row a line, with commas and double quotes") from error
