"""Boxes of cells, moved to what is seen in and around them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.decoders.cell_boxes import windows


class BoxRefiner(nn.Module):
    """Corrects boxes by the feature map at their place, as the second stage of Faster R-CNN does (Ren et al. 2015,
    equation 2), over windows whose places keep their order, so that edges can be told from each other.

    Args:
        channels: of the feature map.
        size: rows and columns of places in a window.
        margin: how much a window is larger than its box at each side, in shares of the box's height.
        width: channels of a place.
        hidden: channels of the network.
    """

    def __init__(
        self, channels: int, size: Sequence[int] = (6, 12), margin: float = 0.75, width: int = 24, hidden: int = 128
    ) -> None:
        super().__init__()
        self.size, self.margin = (int(size[0]), int(size[1])), margin
        self.place = nn.Sequential(nn.Linear(channels, width), nn.ReLU())
        self.network = nn.Sequential(nn.Linear(self.size[0] * self.size[1] * width, hidden), nn.ReLU())
        self.correction = nn.Linear(hidden, 4)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, features: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b m 4"]) -> Float[Tensor, "b m 4"]:
        """Better boxes (centre x, y, width, height in shares of the map's size); no gradient goes to those given.

        At first nothing is changed; no side grows or shrinks by more than a factor of e.
        """
        boxes = boxes.detach().float()
        seen = windows(features, boxes, self.size, self.margin)
        shift, growth = self.correction(self.network(self.place(seen).flatten(2))).float().chunk(2, 2)
        height, aspect = boxes[..., 3:], features.shape[2] / features.shape[3]
        centre = boxes[..., :2] + shift * torch.cat([height * aspect, height], -1)
        return torch.cat([centre, boxes[..., 2:] * growth.tanh().exp()], -1)
