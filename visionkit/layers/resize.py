"""Which pixel stands for which when a map changes its size."""

import torch
from jaxtyping import Int64
from torch import Tensor


def nearest_index(before: int, after: int) -> Int64[Tensor, " after"]:
    """For each cell of an axis of length ``after`` the cell of length ``before`` under its centre, exactly."""
    return ((torch.arange(after) * 2 + 1) * before).div(2 * after, rounding_mode="floor")
