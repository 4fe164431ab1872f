"""Strides: one number for all axes, or one number for each axis."""

import math
from collections.abc import Sequence
from itertools import pairwise

from visionkit.errors import ConfigError
from visionkit.types import Stride


def per_axis(stride: Stride | Sequence[int], dims: int) -> tuple[int, ...]:
    """One number for each of ``dims`` axes. Raises ConfigError C80 where there are more or fewer numbers."""
    axes = (stride,) * dims if isinstance(stride, int) else tuple(stride)
    if len(axes) != dims or any(length < 1 for length in axes):
        what = f"{list(axes)} is no stride, patch or group for {dims} axes"
        raise ConfigError("C80", "strides", what, f"give one positive number, or {dims} of them")
    return axes


def joined(axes: Sequence[int]) -> Stride:
    """A single number where all axes agree, else the tuple."""
    return axes[0] if len(set(axes)) == 1 else tuple(axes)


def increase(strides: Sequence[Stride | Sequence[int]], dims: int) -> bool:
    """Whether each stride is coarser than the one before along some axis, and finer along none."""
    axes = [per_axis(stride, dims) for stride in strides]
    return all(
        fine != coarse and all(a <= b for a, b in zip(fine, coarse, strict=True)) for fine, coarse in pairwise(axes)
    )


def reaches(stride: Stride, bound: Stride | Sequence[int], dims: int) -> bool:
    """Whether a stride is not below the bound along at least one axis."""
    return any(have >= want for have, want in zip(per_axis(stride, dims), per_axis(bound, dims), strict=True))


def ratio(first: Stride, second: Stride | Sequence[int], dims: int) -> float:
    """How far two strides are apart, 1 where they are equal: the ratios of all axes multiplied."""
    pairs = zip(per_axis(first, dims), per_axis(second, dims), strict=True)
    return math.prod(max(pair) / min(pair) for pair in pairs)
