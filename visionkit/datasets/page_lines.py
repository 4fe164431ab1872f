"""Lines cut out of pages: what page files of every format have in common."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from visionkit.datasets.findings import Finding
from visionkit.datasets.images import SUFFIXES, picture_size, read_image
from visionkit.datasets.line_cuts import Point, Region, Size, cut_out, cut_size
from visionkit.datasets.line_splits import by_name, check_split, require_lines
from visionkit.datasets.listing import Listing
from visionkit.datasets.text_lines import Line, TextLines
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import ConfigError, DataError, nearest

Cut = Literal["polygon", "box"]
PAGES_KEPT = 4
"""Decoded pages that are kept, since neighbouring lines are often read one after the other."""
_ROUNDING = 0.01
"""So far the scales of a page's two axes may differ: sizes of a smaller copy are rounded."""


@dataclass(frozen=True)
class PageLine:
    """A line as a page file lists it; ``text`` is None where nobody transcribed it."""

    name: str
    text: str | None
    region: Region | None


@dataclass(frozen=True)
class Page:
    """A page file: the name of its picture, its lines in their order, and the size that its coordinates refer to."""

    picture: str
    lines: tuple[PageLine, ...]
    size: Size | None = None
    """None where the file does not tell."""


class PageLines(TextLines, ABC):
    """Lines of the page files in a folder and all folders in it; each format has its own ``parse``, file to page.

    The picture is named in the page file and lies beside it, one folder above, or in ``pictures``. Where all page files
    lie in folders train, val and test, these are the splits; else a hash of the page decides for all of its lines.
    Lines that nobody transcribed, or whose text is blank, are left out, and ``visionkit check`` counts them. Where the
    picture is larger or smaller than the page file says, as a copy for the web is, the coordinates are scaled.

    Args:
        root: the data's folder.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        text: rules of the text.
        pictures: a folder in ``root`` that holds pictures, too.
        cut: polygon (what is outside takes the paper's colour) or box.
        straighten: shears a line until its base line is level, and cuts off what is above and below its outline then.
        fractions: shares of train, val and test where there are no split folders.

    Raises:
        ConfigError: C52 unknown split, C53 fractions that are none, C185 unknown cut, those of ``TextRules``.
        DataError: D124 no such folder, D131 no lines. Faults of single pages and lines (D115, D126 to D128, D147 a
            picture that the coordinates do not fit, those of ``parse`` and ``read_image``) are raised when a line is
            read.
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
        self._sizes: dict[Path, Size] = {}
        doubts: list[Finding] = []
        lines = list(_listed(Listing.of(root, {".xml"}), self.parse, root / pictures, doubts))
        splits = by_name(lines, fractions, folders=-1)
        require_lines(splits, root)
        super().__init__(splits, split, text or TextRules(), channels, doubts, self._cut_out, self._cut_size)

    def _cut_out(self, line: Line, channels: int) -> UInt8[Tensor, "c h w"]:
        picture = cut_out(_page(line.image, channels), line.region, self.cut == "polygon", self.straighten)
        if picture is None:
            raise _outside(line)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))

    def _cut_size(self, line: Line) -> Size:
        if line.image not in self._sizes:
            self._sizes[line.image] = picture_size(line.image)
        size = cut_size(self._sizes[line.image], line.region, self.straighten)
        if size is None:
            raise _outside(line)
        return size


def page_of(path: Path, picture: str, lines: Iterable[PageLine], height: str, width: str) -> Page:
    """A page file's page with the size that it declares. Raises DataError D126 where a line raises ValueError."""
    try:
        return Page(picture, tuple(map(_transcribed, lines)), _declared(height, width))
    except ValueError as error:
        what = f"has a line without usable coordinates ({error})"
        raise DataError("D126", path, what, "mend or remove it") from error


def _transcribed(line: PageLine) -> PageLine:
    """The line without a text that is blank: Transkribus writes one for every line that nobody has transcribed yet."""
    return line if line.text and line.text.strip() else replace(line, text=None)


def _declared(height: str, width: str) -> Size | None:
    """The size that a page file gives, None where it gives none."""
    try:
        size = round(float(height)), round(float(width))
    except (ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None


def _listed(pages: Listing, parse: Callable[[Path], Page], pictures: Path, doubts: list[Finding]) -> Iterator[Line]:
    for key, files in pages.files.items():
        try:
            page = parse(files[0])
            picture = _picture(files[0], page.picture, pictures)
            page = _fitted(page, files[0], picture)
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


def _fitted(page: Page, path: Path, picture: Path) -> Page:
    """The page with its outlines in pixels of its picture, which may be a larger or smaller copy.

    Raises DataError D147 where the axes need different scales: the picture is another, or was cut or turned.
    """
    try:
        size = page.size and picture_size(picture)
    except DataError:  # reading a line tells what is wrong
        return page
    if page.size is None or size is None or size == page.size:
        return page
    down, across = (now / then for now, then in zip(size, page.size, strict=True))
    if max(down / across, across / down) > 1 + _ROUNDING:
        declared, found = (f"{width} x {height}" for height, width in (page.size, size))
        what = f"its coordinates are of a page of {declared} pixels, its picture {picture.name} has {found}"
        raise DataError("D147", path, what, "restore the picture that the coordinates were drawn on")
    lines = (replace(line, region=line.region and line.region.scaled(across, down)) for line in page.lines)
    return replace(page, lines=tuple(lines))


def _outside(line: Line) -> DataError:
    return DataError("D128", line.place, f"lies outside its page {line.image}", "mend its coordinates")


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
