"""What a prediction is made of: pictures and volumes alike, each read when its turn comes."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from jaxtyping import Shaped
from torch import Tensor

from visionkit.errors import DataError
from visionkit.prediction.outputs import KINDS, Kind

RESULTS = "predictions.jsonl"
"""The file that lists what was predicted; the pictures beside it are results."""


@dataclass(frozen=True)
class Opened:
    """A picture or volume that was read, and how results are brought back to it."""

    image: Shaped[Tensor, "c *space"]
    """As it is: what is drawn, and whose size the results have."""
    given: Shaped[Tensor, "c *size"]
    """What the network is given."""
    spacing_mm: Tensor | None = None
    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)


@dataclass(frozen=True)
class Item:
    """Something to predict."""

    key: str
    """Unique; a relative path without suffix, which names the results."""
    path: str
    """Its file; empty where it comes from memory."""
    open: Callable[[], Opened]


class Reader(Protocol):
    """Finds what is to be predicted, with the preprocessing of one bundle."""

    def find(self, images: Any) -> list[Item]:
        """Every item in a file, a folder, an array or a list of these, none of them read yet."""


def files_in(path: Path, is_one: Callable[[Path], bool], what: str, endings: Iterable[str]) -> list[Path]:
    """The file itself, or all of a folder but for the results of earlier predictions in it.

    Raises DataError: D40 nothing there, D41 no ``what`` in a folder.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError("D40", path, "there is no such file or folder", "check the path")
    inside = sorted(path.rglob("*"))
    results = {file.parent for file in inside if file.name == RESULTS} - {path}
    files = [file for file in inside if is_one(file) and file.is_file() and results.isdisjoint(file.parents)]
    if not files:
        raise DataError("D41", path, f"holds no {what}", f"{what} end in {' '.join(sorted(endings))}")
    return files


def keys_of(files: Sequence[Path], stem: Callable[[Path], str]) -> list[str]:
    """Paths below the folder that all share; with their suffixes where two would else be the same."""
    absolute = [Path(os.path.abspath(file)) for file in files]
    root = os.path.commonpath([file.parent for file in absolute]) if absolute else ""
    relative = [file.relative_to(root) for file in absolute]
    bare = [(path.parent / stem(path)).as_posix() for path in relative]
    return bare if len(set(bare)) == len(bare) else [path.as_posix() for path in relative]


def split(images: Any) -> tuple[list[Path], list[Any]]:
    """The paths and the arrays among what is to be predicted."""
    items = list(images) if isinstance(images, list | tuple) else [images]
    paths = [Path(item) for item in items if isinstance(item, str | Path)]
    return paths, [item for item in items if not isinstance(item, str | Path)]


def unique(files: Iterator[Path]) -> list[Path]:
    """Each file once, by its place on the disk."""
    return list({os.path.abspath(file): file for file in files}.values())
