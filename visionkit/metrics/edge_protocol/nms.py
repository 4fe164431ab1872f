"""Non-maximum suppression across edges, as the toolbox of structured edges does it (Dollar and Zitnick 2015)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import correlate1d

_ORIENTATION_RADIUS_PX = 4
_INSIDE = 1.001
"""Coordinates are kept so far from the far border that a neighbour to interpolate with is always there."""


@dataclass(frozen=True)
class Suppression:
    """Sets to 0 what is smaller than its neighbours across the edge.

    Args:
        radius: neighbours at 1 to ``radius`` pixels on both sides are looked at.
        border_px: values within so many pixels of the border are lowered, the outermost to 0; at most half the picture.
        margin: a value stays while it is at least the neighbour's when multiplied by this.
        blur_px: radius of a triangle filter that is applied first; the scripts of HED and RCF have 1, others 0.
    """

    radius: int = 1
    border_px: int = 5
    margin: float = 1.01
    blur_px: int = 0

    def __call__(self, probability: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
        """The probability on the ridges, 0 elsewhere."""
        values = triangle_filter(probability, self.blur_px)
        angle = orientation(values)
        rows, columns = np.nonzero(values)
        along, down = np.cos(angle[rows, columns]), np.sin(angle[rows, columns])
        raised = values[rows, columns] * self.margin
        kept = np.ones(len(rows), np.bool_)
        for distance in (d for d in range(-self.radius, self.radius + 1) if d):
            kept &= raised >= _between(values, rows + distance * down, columns + distance * along)
        ridges = np.zeros_like(values)
        ridges[rows[kept], columns[kept]] = values[rows[kept], columns[kept]]
        return ridges * _fading(values.shape, self.border_px)


def orientation(probability: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
    """Direction across the edges, 0 to pi from the x axis towards larger y, from second derivatives."""
    smooth = triangle_filter(probability, _ORIENTATION_RADIUS_PX)
    across, down = _slope(smooth, 1), _slope(smooth, 0)
    xx, xy, yy = _slope(across, 1), _slope(down, 1), _slope(down, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.mod(np.arctan(yy * np.sign(-xy) / (xx + 1e-5)), np.pi))


def triangle_filter(values: Float64[np.ndarray, "h w"], radius: int) -> Float64[np.ndarray, "h w"]:
    """Weights 1, 2 ... r + 1 ... 2, 1 along both axes, their sum 1; the picture is mirrored at its borders."""
    if radius == 0:
        return values
    rising = np.arange(1, radius + 1)
    weights = np.concatenate([rising, [radius + 1], rising[::-1]]) / (radius + 1) ** 2
    return correlate1d(correlate1d(values, weights, axis=0, mode="reflect"), weights, axis=1, mode="reflect")


def _slope(values: Float64[np.ndarray, "h w"], axis: int) -> Float64[np.ndarray, "h w"]:
    return np.gradient(values, axis=axis) if values.shape[axis] > 1 else np.zeros_like(values)


def _between(
    values: Float64[np.ndarray, "h w"], y: Float64[np.ndarray, " n"], x: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Bilinear interpolation; places outside are moved to the border."""
    height, width = values.shape
    y, x = (np.clip(place, 0, max(0, length - _INSIDE)) for place, length in ((y, height), (x, width)))
    top, left = y.astype(np.int64), x.astype(np.int64)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    low, far = y - top, x - left
    upper = values[top, left] * (1 - far) + values[top, right] * far
    lower = values[bottom, left] * (1 - far) + values[bottom, right] * far
    return upper * (1 - low) + lower * low


def _fading(shape: tuple[int, ...], border_px: int) -> Float64[np.ndarray, "h w"]:
    """0 on the border, 1 from ``border_px`` pixels on inwards, and the product of both in the corners."""
    border = min(border_px, *(length // 2 for length in shape))
    if border == 0:
        return np.ones(shape)
    inwards = (np.minimum(np.arange(length), np.arange(length)[::-1]) for length in shape)
    rows, columns = (np.minimum(place / border, 1) for place in inwards)
    return rows[:, None] * columns
