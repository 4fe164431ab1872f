"""Points in a picture: x, y in pixels, the first pixel's centre at (0.5, 0.5)."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def inside(points: Float[Tensor, "n 2"], size: Sequence[int]) -> Bool[Tensor, " n"]:
    """Which points lie in a picture of height and width ``size``, its borders included."""
    height, width = size
    return ((points >= 0) & (points <= points.new_tensor([width, height]))).all(1)


def cells_of(points: Float[Tensor, "n 2"], size: Sequence[int], cells: Sequence[int]) -> Int64[Tensor, "n 2"]:
    """Row and column of each point on a grid of ``cells`` (rows, columns) over the picture.

    A point on the right or lower border belongs to the last cell.
    """
    counts, extent = torch.tensor(list(cells)), torch.tensor(list(size), dtype=torch.float64)
    place = (points.detach().cpu().double().flip(1) * counts / extent.clamp(min=1)).floor().long()
    return place.clamp(min=0).minimum(counts - 1)
