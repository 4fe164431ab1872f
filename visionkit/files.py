"""Writing whole files and folders: complete under their name, or not there at all."""

import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from visionkit.errors import StorageError


@contextmanager
def replaced_file(file: Path) -> Iterator[Path]:
    """A path beside ``file`` to write to; it takes the file's name when the block ends without an error."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = beside(file)
    try:
        yield new
        _sync(new)
        os.replace(new, file)
        _sync(file.parent)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def replaced_folder(folder: Path, own: Collection[str]) -> Iterator[Path]:
    """A new folder to write to; it takes the place of ``folder`` when the block ends without an error.

    Raises StorageError S20 where ``folder`` already holds something that is not in ``own``.
    """
    folder = folder.resolve()
    _refuse_foreign(folder, own)
    new = beside(folder)
    new.mkdir(parents=True)
    try:
        yield new
        for file in new.iterdir():
            _sync(file)
        _sync(new)
        _swap(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def beside(path: Path) -> Path:
    """An unused hidden name in the same folder, with the same suffix."""
    return path.parent / f".{path.stem}.{secrets.token_hex(4)}{path.suffix}"


def older(folder: Path) -> Path:
    """Where the previous folder stands during the instant in which it is replaced."""
    return folder.parent / f".{folder.name}.old"


def _refuse_foreign(folder: Path, own: Collection[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise StorageError("S20", folder, "is a file", "name another folder: out=DIR")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in own) if folder.is_dir() else []
    if foreign:
        what = f"holds other files ({foreign[0]}), which would be lost"
        raise StorageError("S20", folder, what, "move them, or name another folder: out=DIR")


def _swap(new: Path, folder: Path) -> None:
    aside = older(folder)
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        if aside.exists():
            aside.rename(folder)
        raise
    _sync(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
