"""Strides: one number for all axes of space, or one for each."""

from collections.abc import Sequence

Stride = int | Sequence[int]


def per_axis(stride: Stride, dims: int) -> tuple[int, ...]:
    """One number for each axis."""
    return (stride,) * dims if isinstance(stride, int) else tuple(stride)
