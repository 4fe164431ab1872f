"""Padding to the grid of an encoder."""

import torch
from jaxtyping import Float
from torch import Tensor


def pad_to_multiple(
    image: Float[Tensor, "b c *space"], multiple: int, cells: int = 2
) -> Float[Tensor, "b c *padded_space"]:
    """Repeats the last row and column until every axis is a multiple, at least ``cells`` of them.

    Two cells are the least for which batch normalisation of a single image is defined. Written with
    index_select because that exports with free sizes in any number of dimensions.
    """
    for axis in range(2, image.ndim):
        size = image.shape[axis]
        padded = torch.sym_max((size + multiple - 1) // multiple, cells) * multiple
        if torch.compiler.is_exporting() or padded != size:
            index = torch.arange(padded, device=image.device).clamp(max=size - 1)
            image = image.index_select(axis, index)
    return image
