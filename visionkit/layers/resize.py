"""Which pixel stands for which when a map changes its size."""

import torch
from jaxtyping import Int, Int64
from torch import Tensor


def nearest_index(before: int, after: int) -> Int64[Tensor, " after"]:
    """For each cell of an axis of length ``after`` the cell of length ``before`` under its centre, exactly."""
    return ((torch.arange(after) * 2 + 1) * before).div(2 * after, rounding_mode="floor")


def resize_lines(lines: Int[Tensor, "n h w"], size: tuple[int, int]) -> Int[Tensor, "n new_h new_w"]:
    """Thin lines at another size: a cell takes the largest of the values that shrink into it, so that no line breaks.

    Along an axis that grows it takes the nearest cell.
    """
    for axis, after in enumerate(size, start=1):
        before = lines.shape[axis]
        if after >= before:
            lines = lines.index_select(axis, nearest_index(before, after))
            continue
        shape = [after if place == axis else length for place, length in enumerate(lines.shape)]
        under = nearest_index(after, before).view([-1 if place == axis else 1 for place in range(3)])
        least = lines.new_full(shape, torch.iinfo(lines.dtype).min)
        lines = least.scatter_reduce(axis, under.expand_as(lines), lines, "amax")
    return lines
