"""A feature map as the memory that a sequence decoder reads: one place for each cell of a grid."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from visionkit.layers.blocks import ConvNormAct
from visionkit.layers.resample import Resample
from visionkit.layers.valid import valid_cells
from visionkit.types import Stride

_OCTAVES = 6
"""Waves from a half to 16 over the whole map along each axis."""


@dataclass(frozen=True)
class Memory:
    """What is read of ``b`` pictures."""

    values: Float[Tensor, "b n c"]
    places: Float[Tensor, "n 2"]
    """x, y of each cell's centre in shares of the map's width and height."""
    valid: Bool[Tensor, "b n"]
    """False where a cell lies in the padding."""


class GridMemory(nn.Module):
    """One map to a memory with ``width`` channels at ``stride``, each place of which knows where it is.

    Args:
        channels: of the map.
        have: stride of the map.
        stride: of the grid; the map is averaged or interpolated to it.
        width: channels of the memory.
    """

    def __init__(self, channels: int, have: Stride, stride: Stride, width: int = 256) -> None:
        super().__init__()
        self.resample = Resample([channels], [have], [stride])
        self.project = ConvNormAct(channels, width)
        self.position = nn.Linear(4 * _OCTAVES, width)
        self.stride, self.out_channels = stride, width

    def forward(self, features: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b height width"]) -> Memory:
        """Memory of maps of pictures that are real where ``valid`` says."""
        grid = self.project(self.resample([features])[0])
        size = grid.shape[2:]
        places = centres(size[0], size[1], grid.device)
        values = grid.flatten(2).transpose(1, 2) + self.position(waves(places).to(grid.dtype))
        return Memory(values, places, valid_cells(valid, size, self.stride).flatten(1))


def centres(height: int, width: int, device: torch.device | None = None) -> Float[Tensor, "n 2"]:
    """x, y of the centres of a grid's cells, row by row, in shares of the whole."""
    rows = (torch.arange(height, device=device) + 0.5) / height
    columns = (torch.arange(width, device=device) + 0.5) / width
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], -1).flatten(0, 1)


def waves(places: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n f"]:
    """Sines and cosines of each coordinate, each wave half as long as the one before."""
    angles = places[..., None] * math.pi * 2.0 ** torch.arange(_OCTAVES, device=places.device)
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)
