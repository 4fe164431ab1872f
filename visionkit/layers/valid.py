"""Where a padded picture is real."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from visionkit.layers.strides import per_axis
from visionkit.types import Stride


def real_size(valid: Bool[Tensor, "*space"]) -> tuple[int, ...]:
    """Size before padding; the whole size where nothing is valid.

    Assumes that padding lies at the end of every axis, on the right and below: padding before the picture, such as that
    of a crop with ``pad_position: random``, is taken for a part of it.
    """
    if not valid.any():
        return tuple(valid.shape)
    axes = (valid.movedim(axis, 0).reshape(length, -1).any(1) for axis, length in enumerate(valid.shape))
    return tuple(int(filled.nonzero().max()) + 1 for filled in axes)


def valid_cells(valid: Bool[Tensor, "b *space"], size: Sequence[int], stride: Stride) -> Bool[Tensor, "b *size"]:
    """Which cells of a grid hold a real pixel; in a picture without any, the first cell counts as real."""
    for axis, (cells, step) in enumerate(zip(size, per_axis(stride, len(size)), strict=True), start=1):
        missing = max(cells * step - valid.shape[axis], 0)
        valid = F.pad(valid, [0, 0] * (valid.ndim - 1 - axis) + [0, missing]).narrow(axis, 0, cells * step)
        valid = valid.unflatten(axis, (cells, step)).any(axis + 1)
    flat = valid.flatten(1)
    first = torch.arange(flat.shape[1], device=valid.device) == 0
    return (flat | (first & ~flat.any(1, keepdim=True))).view(valid.shape)
