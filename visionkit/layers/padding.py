"""Padding to the grid of an encoder."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from visionkit.layers.strides import per_axis
from visionkit.types import Stride


def pad_to_multiple(
    image: Float[Tensor, "b c *space"], multiple: Stride, cells: int = 2
) -> Float[Tensor, "b c *padded_space"]:
    """Repeats the last row and column until every axis is a multiple (of its own number where ``multiple`` has one
    for each axis), at least ``cells`` of them.

    Two cells are the least for which batch normalisation of a single image is defined. Written with
    index_select because that exports with free sizes in any number of dimensions.
    """
    for axis, step in enumerate(per_axis(multiple, image.ndim - 2), start=2):
        size = image.shape[axis]
        padded = torch.sym_max((size + step - 1) // step, cells) * step
        if torch.compiler.is_exporting() or padded != size:
            index = torch.arange(padded, device=image.device).clamp(max=size - 1)
            image = image.index_select(axis, index)
    return image


def cut(features: Float[Tensor, "b c *space"], size: Sequence[int]) -> Float[Tensor, "b c *size"]:
    """The first ``size`` cells along every axis of space; written like ``pad_to_multiple`` where it is exported."""
    for axis, length in enumerate(size, start=2):
        if torch.compiler.is_exporting():
            features = features.index_select(axis, torch.arange(length, device=features.device))
        elif features.shape[axis] != length:
            features = features.narrow(axis, 0, length)
    return features
