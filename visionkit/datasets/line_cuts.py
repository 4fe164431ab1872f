"""Lines cut out of their page: along the outline, and level where the base line is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

Point = tuple[float, float]
Size = tuple[int, int]
"""Height and width in pixels."""
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

    @property
    def slope(self) -> float:
        """Of the straight line nearest to the base line; 0 where none is known.

        What is steeper than 45 degrees is written from top to bottom, and has no slope either.
        """
        if len(self.baseline) < 2 or len({x for x, _ in self.baseline}) < 2:
            return 0.0
        x, y = np.array(self.baseline, dtype=np.float64).T
        slope = float(np.polyfit(x, y, 1)[0])
        return slope if abs(slope) <= _STEEPEST else 0.0

    def scaled(self, across: float, down: float) -> "Region":
        """The same place on a page of another size."""
        polygon, baseline = (tuple((x * across, y * down) for x, y in line) for line in (self.polygon, self.baseline))
        return Region(polygon, baseline)


class _Part(NamedTuple):
    """The part of a page that a line is on, and the rows of it that are kept once it is level."""

    left: int
    top: int
    right: int
    bottom: int
    slope: float
    first: int
    last: int


def cut_out(
    page: UInt8[np.ndarray, "h w c"], region: Region, along_polygon: bool, straighten: bool = False
) -> UInt8[np.ndarray, "h_ w_ c"] | None:
    """The part of a page that a region covers, or None where it covers nothing.

    What comes in from outside takes the median colour of the region, which is the paper's. A line that is straightened
    is sheared until its base line is level (letters keep their uprights), and is as high as its outline then is.
    """
    part = _part(page.shape[:2], region, straighten)
    if part is None:
        return None
    picture = page[part.top : part.bottom, part.left : part.right].copy()
    if along_polygon:
        inside = np.zeros(picture.shape[:2], dtype=np.uint8)
        cv2.fillPoly(inside, [np.round(_outline(region, part.left, part.top)).astype(np.int32)], 1)
        if inside.any():
            picture[inside == 0] = np.median(picture[inside > 0], axis=0).astype(np.uint8)
    return _levelled(picture, part) if part.slope else picture


def cut_size(page: Size, region: Region, straighten: bool = False) -> Size | None:
    """Height and width of what ``cut_out`` cuts out of a page of this size, None where that is nothing."""
    part = _part(page, region, straighten)
    return None if part is None else (part.last - part.first, part.right - part.left)


def _part(page: Sequence[int], region: Region, straighten: bool) -> _Part | None:
    left, top, right, bottom = region.box
    left, top, right, bottom = max(0, left), max(0, top), min(page[1], right), min(page[0], bottom)
    if left >= right or top >= bottom:
        return None
    slope = region.slope if straighten else 0.0
    first, last = 0, bottom - top
    if slope:
        x, y = _outline(region, left, top).T
        level = np.round(y - slope * x + _lowered(slope, right - left), 6)  # no row for the last digit of a float
        canvas = last + round(abs(slope) * (right - left - 1))
        first, last = max(0, int(np.floor(level.min()))), min(canvas, int(np.ceil(level.max())))
    return _Part(left, top, right, bottom, slope, first, last) if first < last else None


def _outline(region: Region, left: int, top: int) -> Float64[np.ndarray, "n 2"]:
    """The outline, seen from a corner of the page's part."""
    return np.array(region.polygon, dtype=np.float64) - (left, top)


def _lowered(slope: float, width: int) -> float:
    """Rows by which the left end moves down, so that the right end stays in the picture."""
    return max(0.0, slope * (width - 1))


def _levelled(picture: UInt8[np.ndarray, "h w c"], part: _Part) -> UInt8[np.ndarray, "h_ w c"]:
    height, width = part.last - part.first, picture.shape[1]
    matrix = np.array([[1, 0, 0], [-part.slope, 1, _lowered(part.slope, width) - part.first]])
    paper = np.median(picture.reshape(-1, picture.shape[2]), axis=0).tolist()
    level = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=paper)
    return level.reshape(height, width, picture.shape[2])
