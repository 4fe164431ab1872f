"""Lines cut out of pages: what page files of every format have in common."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from visionkit.datasets.findings import Finding
from visionkit.datasets.images import SUFFIXES, read_image
from visionkit.datasets.line_splits import by_name, check_split, require_lines
from visionkit.datasets.listing import Listing
from visionkit.datasets.text_lines import Line, TextLines
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import ConfigError, DataError, nearest

Point = tuple[float, float]
Cut = Literal["polygon", "box"]
PAGES_KEPT = 4
"""Decoded pages that are kept, since neighbouring lines are often read one after the other."""
_STEEPEST = 1.0


@dataclass(frozen=True)
class Region:
    """Where a line is on its page: x, y in pixels."""

    polygon: tuple[Point, ...]
    """Outline; the four corners where only a box is known."""
    baseline: tuple[Point, ...] = ()

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom: whole pixels that hold the outline."""
        x, y = zip(*self.polygon, strict=True)
        return int(np.floor(min(x))), int(np.floor(min(y))), int(np.ceil(max(x))), int(np.ceil(max(y)))


@dataclass(frozen=True)
class PageLine:
    """A line as a page file lists it; ``text`` is None where nobody transcribed it."""

    name: str
    text: str | None
    region: Region | None


@dataclass(frozen=True)
class Page:
    """A page file: the name of its picture, and its lines in their order."""

    picture: str
    lines: tuple[PageLine, ...]


class PageLines(TextLines, ABC):
    """Lines of the page files in a folder and all folders in it; each format has its own ``parse``, file to page.

    The picture is named in the page file and lies beside it, one folder above, or in ``pictures``. Where all page files
    lie in folders train, val and test, these are the splits; else a hash of the page decides for all of its lines.
    Lines that nobody transcribed are left out, and ``visionkit check`` counts them.

    Args:
        root: the data's folder.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        text: rules of the text.
        pictures: a folder in ``root`` that holds pictures, too.
        cut: polygon (what is outside takes the paper's colour) or box.
        straighten: turns a line until its base line is level.
        fractions: shares of train, val and test where there are no split folders.

    Raises:
        ConfigError: C52 unknown split, C53 fractions that are none, C185 unknown cut, those of ``TextRules``.
        DataError: D124 no such folder, D131 no lines. Faults of single pages and lines (D115, D126 to D128, those of
            ``parse`` and ``read_image``) are raised when a line is read.
    """

    @staticmethod
    @abstractmethod
    def parse(path: Path) -> Page:
        """A page file's page. Raises DataError."""

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 1,
        text: TextRules | None = None,
        pictures: str = "",
        cut: Cut = "polygon",
        straighten: bool = False,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
    ) -> None:
        check_split(split)
        if cut not in ("polygon", "box"):
            what = f"there is no cut {cut!r}"
            raise ConfigError("C185", "dataset.layout.cut", what, nearest(str(cut), ["polygon", "box"]))
        root = Path(root)
        if not os.path.isdir(root):
            fix = "set dataset.root to your data (data/README.md shows the tree)"
            raise DataError("D124", root, "there is no such folder", fix)
        self.cut, self.straighten = cut, straighten
        doubts: list[Finding] = []
        lines = list(_listed(Listing.of(root, {".xml"}), self.parse, root / pictures, doubts))
        splits = by_name(lines, fractions, folders=-1)
        require_lines(splits, root)
        super().__init__(splits, split, text or TextRules(), channels, doubts, self._cut_out, _box_size)

    def _cut_out(self, line: Line, channels: int) -> UInt8[Tensor, "c h w"]:
        picture = cut_out(_page(line.image, channels), line.region, self.cut == "polygon", self.straighten)
        if picture is None:
            raise DataError("D128", line.place, f"lies outside its page {line.image}", "mend its coordinates")
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def cut_out(
    page: UInt8[np.ndarray, "h w c"], region: Region, along_polygon: bool, straighten: bool = False
) -> UInt8[np.ndarray, "h_ w_ c"] | None:
    """The part of a page that a region covers, or None where it covers nothing.

    What comes in from outside takes the median colour of the region, which is the paper's.
    """
    left, top, right, bottom = region.box
    left, top, right, bottom = max(0, left), max(0, top), min(page.shape[1], right), min(page.shape[0], bottom)
    if left >= right or top >= bottom:
        return None
    picture = page[top:bottom, left:right].copy()
    if along_polygon:
        inside = np.zeros(picture.shape[:2], dtype=np.uint8)
        outline = np.array(region.polygon) - (left, top)
        cv2.fillPoly(inside, [np.round(outline).astype(np.int32)], 1)
        if inside.any():
            picture[inside == 0] = np.median(picture[inside > 0], axis=0).astype(np.uint8)
    return _levelled(picture, region.baseline) if straighten else picture


def _levelled(picture: UInt8[np.ndarray, "h w c"], baseline: Sequence[Point]) -> UInt8[np.ndarray, "h_ w_ c"]:
    """Sheared so that the straight line nearest to the base line is level; letters keep their uprights.

    What is steeper than 45 degrees is written from top to bottom, and stays as it is.
    """
    if len(baseline) < 2 or len({x for x, _ in baseline}) < 2:
        return picture
    x, y = np.array(baseline, dtype=np.float64).T
    slope = float(np.polyfit(x, y, 1)[0])
    if abs(slope) > _STEEPEST:
        return picture
    height, width = picture.shape[:2]
    more = round(abs(slope) * (width - 1))
    matrix = np.array([[1, 0, 0], [-slope, 1, max(0.0, slope * (width - 1))]])
    paper = np.median(picture.reshape(-1, picture.shape[2]), axis=0).tolist()
    level = cv2.warpAffine(picture, matrix, (width, height + more), flags=cv2.INTER_LINEAR, borderValue=paper)
    return level.reshape(height + more, width, picture.shape[2])


def page_of(path: Path, picture: str, lines: Iterable[PageLine]) -> Page:
    """A page file's page. Raises DataError D126 where reading its lines raises ValueError."""
    try:
        return Page(picture, tuple(lines))
    except ValueError as error:
        what = f"has a line without usable coordinates ({error})"
        raise DataError("D126", path, what, "mend or remove it") from error


def _listed(pages: Listing, parse: Callable[[Path], Page], pictures: Path, doubts: list[Finding]) -> Iterator[Line]:
    for key, files in pages.files.items():
        try:
            page = parse(files[0])
            picture = _picture(files[0], page.picture, pictures)
        except DataError as error:
            yield Line(f"{key}__page", files[0], fault=error)
            continue
        written = [line for line in page.lines if line.text is not None]
        if len(written) < len(page.lines):
            what = f"{len(page.lines) - len(written)} of {len(page.lines)} lines have no transcription and are left out"
            doubts.append(Finding(str(files[0]), "D129", what, "transcribe them, or see that this is meant", "warning"))
        for number, line in enumerate(page.lines):
            if line.text is not None:
                place = f"{files[0]}, {line.name or number}"
                fault = (
                    None if line.region else DataError("D128", place, "has no outline", "draw it, or remove the line")
                )
                yield Line(f"{key}__{number:03d}", picture, line.text, place, fault, line.region)


def _picture(page: Path, name: str, pictures: Path) -> Path:
    """The picture of a page file: of the name that it gives, else of its own name."""
    folders = (page.parent, page.parent.parent, pictures)
    given = Path(name.replace("\\", "/")).name
    for folder in folders if given else ():
        if os.path.isfile(folder / given):
            return folder / given
    for folder in folders:
        for ending in sorted(SUFFIXES):
            if os.path.isfile(folder / f"{page.stem}{ending}"):
                return folder / f"{page.stem}{ending}"
    what = f"its picture {given or page.stem} is not beside it"
    raise DataError("D127", page, what, "put it there, or name its folder in dataset.layout.pictures")


def _box_size(line: Line) -> tuple[int, int]:
    left, top, right, bottom = line.region.box
    return max(1, bottom - top), max(1, right - left)


@lru_cache(maxsize=PAGES_KEPT)
def _page(path: Path, channels: int) -> UInt8[np.ndarray, "h w c"]:
    return np.ascontiguousarray(read_image(path, channels).permute(1, 2, 0).numpy())


def points(text: str) -> tuple[Point, ...]:
    """Points as page files write them: ``x,y x,y`` or ``x y x y``. Raises ValueError for anything else."""
    numbers = [float(number) for number in text.replace(",", " ").split()]
    if len(numbers) % 2:
        raise ValueError(f"{text[:40]!r} are no points")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def region_of(outline: Iterable[Point], baseline: Iterable[Point] = ()) -> Region | None:
    """The region of an outline, None where it has no point. Raises ValueError for a point that is nowhere."""
    region = Region(tuple(outline), tuple(baseline))
    if not np.isfinite([*region.polygon, *region.baseline]).all():
        raise ValueError("not all are finite")
    return region if region.polygon else None
