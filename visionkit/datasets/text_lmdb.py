"""Words in LMDB databases with the usual keys: num-samples, image-000000001, label-000000001."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from visionkit.datasets.images import decode_image, encoded_size
from visionkit.datasets.line_splits import NAMES, check_split
from visionkit.datasets.text_lines import Line, TextLines
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import DataError, ResourceError


class TextLmdb(TextLines):
    """A database for each split, in folders ``train`` (or ``training``), ``val`` (``validation``), ``test``.

    The labels are read when it is opened, the pictures one by one. Every process opens a database once.

    Args:
        root: the folder of these folders.
        split: train, val or test; a split without a folder is empty.
        channels: 3 for colour, 1 for grey.
        text: rules of the text.

    Raises:
        ConfigError: C52 unknown split, those of ``TextRules``.
        DataError: D124 no database, D130 one that cannot be read. Faults of single words (D115, D130 a missing entry,
            those of ``read_image``) are raised when the word is read.
        ResourceError: R14 lmdb is not installed.
    """

    def __init__(self, root: str | Path, split: str, channels: int = 3, text: TextRules | None = None) -> None:
        check_split(split)
        folders = {name: found for name in ("train", "val", "test") if (found := _folder(Path(root), name))}
        if not folders:
            fix = "put data.mdb of each split into folders train, val and test there"
            raise DataError("D124", root, "holds no database", fix)
        rules = text or TextRules()
        listed = rules.characters is not None or rules.charset is not None
        needed = {split} if listed else {split, "train"}
        splits = {name: list(_lines(folder)) for name, folder in folders.items() if name in needed}
        super().__init__(splits, split, rules, channels, read=self._picture, measure=self._size_of)

    def _picture(self, line: Line, channels: int) -> UInt8[Tensor, "c h w"]:
        return decode_image(*self._encoded(line), channels)

    def _size_of(self, line: Line) -> tuple[int, int]:
        return encoded_size(*self._encoded(line))

    def _encoded(self, line: Line) -> tuple[bytes, str]:
        """The bytes of a picture and where they are."""
        name = _name("image", line.region)
        data = _get(line.image, name)
        if data is None:
            raise _missing(line.image, name)
        return data, f"{line.image}, {name}"


_OPENED: dict[str, Any] = {}
"""Databases by folder, for LMDB opens one only once in a process."""


def _close_all() -> None:
    while _OPENED:
        _OPENED.popitem()[1].close()


if hasattr(os, "register_at_fork"):  # a handle does not survive a fork: both sides open it again when they need it
    os.register_at_fork(before=_close_all)


def _get(folder: Path, key: str) -> bytes | None:
    """The bytes under a key. DataError D130 where the database cannot be read."""
    lmdb, place = _lmdb(), os.path.realpath(folder)
    try:
        if place not in _OPENED:
            _OPENED[place] = lmdb.open(place, readonly=True, lock=False, readahead=False, meminit=False)
        with _OPENED[place].begin() as reading:
            return reading.get(key.encode())
    except lmdb.Error as error:
        what = f"cannot be read as LMDB ({' '.join(str(error).split())[:120]})"
        raise DataError("D130", folder, what, "copy data.mdb again, as a whole") from error


def _folder(root: Path, split: str) -> Path | None:
    """The folder of a split under one of its names."""
    names = [name for name, meant in NAMES.items() if meant == split]
    return next((root / name for name in names if os.path.isfile(root / name / "data.mdb")), None)


def _lines(folder: Path) -> Iterator[Line]:
    counted = _get(folder, "num-samples")
    if counted is None or not counted.isdigit():
        what = "has no number of samples under the key num-samples"
        raise DataError("D130", folder, what, "write the usual keys (data/README.md)")
    for number in range(1, int(counted) + 1):
        name = _name("label", number)
        label, place = _get(folder, name), f"{folder}, {name}"
        if label is None:
            yield Line(f"{number:09d}", folder, place=place, fault=_missing(folder, name))
            continue
        try:
            yield Line(f"{number:09d}", folder, label.decode(), place, region=number)
        except UnicodeDecodeError as error:
            fault = DataError("D120", place, f"is not UTF-8 (byte {error.start})", "save it as UTF-8")
            yield Line(f"{number:09d}", folder, place=place, fault=fault)


def _name(kind: str, number: int) -> str:
    return f"{kind}-{number:09d}"


def _missing(folder: Path, name: str) -> DataError:
    return DataError("D130", folder, f"has no entry {name}", "write the database again")


def _lmdb() -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise ResourceError("R14", "", "the package lmdb is not installed", "pip install 'visionkit[lmdb]'") from error
    return lmdb
