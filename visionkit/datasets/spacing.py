"""Volumes on another grid: resampled to a spacing, and back to a shape."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Shaped
from scipy.ndimage import map_coordinates, spline_filter

from visionkit.errors import ConfigError


def parse_spacing(spacing_mm: Sequence[float] | None, place: str) -> tuple[float, float, float] | None:
    """Three distances along d, h, w. Raises ConfigError C59 for anything else."""
    if spacing_mm is None:
        return None
    numbers = [float(mm) for mm in spacing_mm]
    if len(numbers) != 3 or not all(0 < mm < np.inf for mm in numbers):
        raise ConfigError("C59", f"{place}={list(spacing_mm)}", "is not possible", "write [d, h, w] in millimetres")
    return numbers[0], numbers[1], numbers[2]


def resampled_shape(
    shape: Sequence[int], spacing_mm: Sequence[float], target_mm: Sequence[float]
) -> tuple[int, int, int]:
    """Voxels that cover the same extent at another spacing, at least one along each axis."""
    lengths = [max(1, round(n * old / new)) for n, old, new in zip(shape, spacing_mm, target_mm, strict=True)]
    return lengths[0], lengths[1], lengths[2]


def resample_image(
    image: Float32[np.ndarray, "c d h w"], shape: Sequence[int], order: int = 1
) -> Float32[np.ndarray, "c *shape"]:
    """The image on a grid of ``shape`` voxels with the same outer faces.

    ``order`` is 1 for linear, 3 for cubic. Nothing is smoothed first: an axis that becomes much coarser aliases.
    """
    if tuple(image.shape[1:]) == tuple(shape):
        return image
    # A spline is separable: one axis after the other costs less than all at once.
    for axis, length in enumerate(shape, start=1):
        image = _along(image, axis, length, order)
    return image


def resample_labels(labels: Shaped[np.ndarray, "d h w"], shape: Sequence[int]) -> Shaped[np.ndarray, "*shape"]:
    """Labels on a grid of ``shape`` voxels with the same outer faces, each that of the nearest voxel."""
    places = [np.floor(_places(n, length) + 0.5).astype(int) for n, length in zip(labels.shape, shape, strict=True)]
    return labels[np.ix_(*(place.clip(0, n - 1) for place, n in zip(places, labels.shape, strict=True)))]


def _places(old: int, new: int) -> np.ndarray:
    """Centres of the new voxels in units of the old ones."""
    return (np.arange(new) + 0.5) * old / new - 0.5


def _along(image: np.ndarray, axis: int, length: int, order: int) -> np.ndarray:
    if image.shape[axis] == length:
        return image
    lines = np.moveaxis(image, axis, 0)
    rows = lines.reshape(len(lines), -1)
    weights = _spline_weights(len(lines), length, order)
    return np.moveaxis((weights @ rows).reshape(length, *lines.shape[1:]), 0, axis)


def _spline_weights(old: int, new: int, order: int) -> Float32[np.ndarray, "new old"]:
    """What each old voxel of a line gives to each new one: the spline through unit impulses."""
    places = _places(old, new)[None].clip(0, old - 1)
    impulses = np.eye(old)
    columns = [
        map_coordinates(spline_filter(line, order, mode="mirror") if order > 1 else line, places, order=order, mode="mirror", prefilter=False)
        for line in impulses
    ]
    return np.stack(columns, axis=1).astype(np.float32)
