"""Words in LMDB databases with the usual keys: num-samples, image-000000001, label-000000001."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from visionkit.datasets.images import decode_image
from visionkit.datasets.line_splits import NAMES, check_split
from visionkit.datasets.text_lines import Line, TextLines
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import DataError, ResourceError


class TextLmdb(TextLines):
    """A database for each split, in folders ``train`` (or ``training``), ``val`` (``validation``), ``test``.

    The labels are read when it is opened, the pictures one by one. A database is opened anew in every process.

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
        splits = {name: list(_lines(_Database(folder))) for name, folder in folders.items() if name in needed}
        self._database = _Database(folders[split]) if split in folders else None
        super().__init__(splits, split, rules, channels, read=self._picture, measure=self._size_of)

    def _picture(self, line: Line, channels: int) -> UInt8[Tensor, "c h w"]:
        return decode_image(self._bytes(line), f"{line.image}, {_name('image', line.region)}", channels)

    def _size_of(self, line: Line) -> tuple[int, int]:
        picture = self._picture(line, 1)
        return picture.shape[1], picture.shape[2]

    def _bytes(self, line: Line) -> bytes:
        assert self._database is not None  # else there would be no line
        data = self._database.get(_name("image", line.region))
        if data is None:
            raise _missing(line.image, _name("image", line.region))
        return data


class _Database:
    """Opened at first use and again in every other process, because a handle does not survive a fork."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened: tuple[int, Any] = (-1, None)

    def get(self, key: str) -> bytes | None:
        """The bytes under a key. DataError D130 where the database cannot be read."""
        lmdb = _lmdb()
        try:
            if self._opened[0] != os.getpid():
                settings = {"readonly": True, "lock": False, "readahead": False, "meminit": False}
                self._opened = (os.getpid(), lmdb.open(str(self.folder), **settings))
            with self._opened[1].begin() as reading:
                return reading.get(key.encode())
        except lmdb.Error as error:
            what = f"cannot be read as LMDB ({' '.join(str(error).split())[:120]})"
            raise DataError("D130", self.folder, what, "copy data.mdb again, as a whole") from error

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_opened": (-1, None)}


def _folder(root: Path, split: str) -> Path | None:
    """The folder of a split under one of its names."""
    names = [name for name, meant in NAMES.items() if meant == split]
    return next((root / name for name in names if os.path.isfile(root / name / "data.mdb")), None)


def _lines(database: _Database) -> Iterator[Line]:
    counted = database.get("num-samples")
    if counted is None or not counted.isdigit():
        what = "has no number of samples under the key num-samples"
        raise DataError("D130", database.folder, what, "write the usual keys (data/README.md)")
    for number in range(1, int(counted) + 1):
        name = _name("label", number)
        label, place = database.get(name), f"{database.folder}, {name}"
        if label is None:
            yield Line(f"{number:09d}", database.folder, place=place, fault=_missing(database.folder, name))
            continue
        try:
            yield Line(f"{number:09d}", database.folder, label.decode(), place, region=number)
        except UnicodeDecodeError as error:
            fault = DataError("D120", place, f"is not UTF-8 (byte {error.start})", "save it as UTF-8")
            yield Line(f"{number:09d}", database.folder, place=place, fault=fault)


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
