"""What a cell decoder sees of the picture: the whole of it, or the place where the cell is."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from visionkit.decoders.cell_boxes import windows
from visionkit.layers.blocks import ConvNormAct
from visionkit.layers.grid_memory import Memory
from visionkit.layers.positions import grid_sinusoids


class WholeView(nn.Module):
    """Every cell sees the memory of the structure decoder, as in EDD.

    Args:
        channels: of the feature map, which is not looked at.
        memory: channels of the memory.
    """

    def __init__(self, channels: int, memory: int) -> None:
        super().__init__()
        self.out_channels = memory

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        memory: Memory,
        boxes: Float[Tensor, "b m 4"],
        chosen: Bool[Tensor, "b m"],
    ) -> tuple[Float[Tensor, "s n c"], Bool[Tensor, "s n"]]:
        """The memory of each chosen cell, picture by picture."""
        rows = chosen.nonzero()[:, 0]
        return memory.values[rows], memory.valid[rows]


class BoxView(nn.Module):
    """Every cell sees what the feature map shows in its box, at a fixed number of places: far less to attend to than
    the whole picture, and always upright in the same frame.

    Args:
        channels: of the feature map.
        memory: channels of the memory, which is not looked at.
        size: rows and columns of places in a box.
        margin: how much a window is larger than the box at each side, in shares of the box's height.
        jitter: in training, deviation of the errors given to a box's centre and size, in shares of its height.
        width: channels of the view.
        sub_rows: heights at which the map is sampled for each place, so that few rows of places miss nothing.
        convs: channels of 3x3 convolutions over what is sampled, before the heights of a place become one.
    """

    def __init__(
        self,
        channels: int,
        memory: int,
        size: Sequence[int] = (4, 32),
        margin: float = 0.25,
        jitter: float = 0.1,
        width: int = 256,
        sub_rows: int = 1,
        convs: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.size, self.margin, self.jitter, self.out_channels = (int(size[0]), int(size[1])), margin, jitter, width
        self.sub_rows = sub_rows
        widths = (channels, *convs)
        self.convs = nn.Sequential(*(ConvNormAct(*pair) for pair in pairwise(widths)))
        self.project = nn.Sequential(nn.Linear(sub_rows * widths[-1], width), nn.LayerNorm(width))
        self.position = nn.Parameter(grid_sinusoids(self.size, width))

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        memory: Memory,
        boxes: Float[Tensor, "b m 4"],
        chosen: Bool[Tensor, "b m"],
    ) -> tuple[Float[Tensor, "s n c"], Bool[Tensor, "s n"]]:
        """The windows of the chosen cells, picture by picture."""
        if self.training and self.jitter:
            boxes = shaken(boxes, self.jitter, features.shape[2] / features.shape[3])
        pictures = zip(features.split(1), boxes.split(1), chosen, strict=True)
        rows, columns = self.size
        fine = (rows * self.sub_rows, columns)
        seen = torch.cat([windows(one, places[:, now], fine, self.margin)[0] for one, places, now in pictures])
        seen = self.convs(seen.unflatten(1, fine).permute(0, 3, 1, 2))
        seen = seen.unflatten(2, (rows, self.sub_rows)).permute(0, 2, 4, 3, 1).flatten(3).flatten(1, 2)
        seen = self.project(seen) + self.position
        return seen, torch.ones(seen.shape[:2], dtype=torch.bool, device=seen.device)


def shaken(boxes: Float[Tensor, "b m 4"], deviation: float, aspect: float) -> Float[Tensor, "b m 4"]:
    """Boxes (centre x, y, width, height in shares) with random errors in all four, in shares of their height.

    ``aspect`` is the map's height over its width. No box vanishes.
    """
    height = boxes[..., 3:]
    errors = torch.randn_like(boxes) * deviation * torch.cat([height * aspect, height, height * aspect, height], -1)
    moved = boxes + errors
    return torch.cat([moved[..., :2], moved[..., 2:].maximum(boxes[..., 2:] / 4)], -1)
