"""Maps whose sum means something (objects a cell): changing their size without changing the sum."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from visionkit.layers.strides import per_axis
from visionkit.types import Stride


def spread(cells: Float[Tensor, "b k *coarse"], stride: Stride, size: Sequence[int]) -> Float[Tensor, "b k *size"]:
    """Each cell's mass evenly over those of its ``stride`` x ``stride`` pixels that lie inside ``size``.

    A cell across the border keeps its whole mass inside; a cell that has no pixel inside is not part of the picture,
    and its mass is left out.
    """
    factors = per_axis(stride, len(size))
    for axis, (factor, length) in enumerate(zip(factors, size, strict=True), start=2):
        pixel = torch.arange(length, device=cells.device)
        cell = pixel // factor
        real = ((cell + 1) * factor).clamp(max=length) - cell * factor
        share = (1 / real.to(cells.dtype)).view(-1, *[1] * (cells.ndim - 1 - axis))
        cells = cells.index_select(axis, cell) * share
    return cells


def gathered(pixels: Float[Tensor, "*b h w"], stride: Stride) -> Float[Tensor, "*b coarse_h coarse_w"]:
    """Sums over cells of ``stride`` x ``stride`` pixels, from the top left; the last ones may hold fewer pixels."""
    rows, columns = per_axis(stride, 2)
    height, width = pixels.shape[-2:]
    padded = F.pad(pixels, (0, -width % columns, 0, -height % rows))
    return padded.unflatten(-2, (-1, rows)).sum(-2).unflatten(-1, (-1, columns)).sum(-1)


def resize_mass(pixels: Float[Tensor, "*b h w"], size: Sequence[int]) -> Float[Tensor, "*b new_h new_w"]:
    """A map at another size: each pixel's mass goes to the new pixels that it overlaps, by the area of the overlap.

    In the precision of the map whatever autocast says: shares that are rounded to bf16 no longer add up to one.
    """
    height, width = pixels.shape[-2:]
    rows, columns = (_overlap(before, after).to(pixels) for before, after in zip((height, width), size, strict=True))
    with torch.autocast(pixels.device.type, enabled=False):
        return rows @ pixels @ columns.T


def _overlap(before: int, after: int) -> Float[Tensor, "after before"]:
    """Of each cell of an axis of ``before`` cells the share that lies in each of ``after`` cells."""
    old, new = torch.arange(before) * after, torch.arange(after)[:, None] * before  # in units of 1 / (before * after)
    common = torch.minimum(old + after, new + before) - torch.maximum(old, new)
    return common.clamp(min=0).double() / after
