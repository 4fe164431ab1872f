"""Where the cells of a table are, and what is seen there."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.layers.grid_memory import Memory


class CellBoxes(nn.Module):
    """A box for each state of a structure decoder at which a cell opens, and whether the cell holds anything.

    The state attends to the memory; the centre is the attended place moved by what a small network says, width and
    height are what it says (sigmoids throughout, as in the box decoder of TableFormer, Nassar et al. 2022, section
    3.2, whose attention this simplifies).

    Args:
        queries: channels of the states.
        channels: of the memory.
        hidden: channels of the attention and of the network.
    """

    def __init__(self, queries: int, channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(queries, hidden), nn.Linear(channels, hidden)
        self.network = nn.Sequential(
            nn.Linear(queries + channels + 4, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.box, self.filled = nn.Linear(hidden, 4), nn.Linear(hidden, 1)

    def forward(
        self, queries: Float[Tensor, "b m d"], memory: Memory
    ) -> tuple[Float[Tensor, "b m 4"], Float[Tensor, "b m"]]:
        """Centre x, y, width, height in shares of the map's size, and the logit that the cell is not empty."""
        keys = self.key(memory.values)
        scores = torch.bmm(self.query(queries), keys.transpose(1, 2)) / keys.shape[2] ** 0.5
        scores = scores.masked_fill(~memory.valid[:, None], torch.finfo(scores.dtype).min)
        weights = scores.softmax(2)
        middle = _mean(weights, memory.places)
        spread = (_mean(weights, memory.places.square()) - middle.square()).clamp(min=1e-6).sqrt()
        state = self.network(torch.cat([queries, torch.bmm(weights, memory.values), middle, spread], 2))
        raw = self.box(state)
        logits = torch.cat([middle.logit(eps=1e-4), spread.clamp(max=0.5).logit(eps=1e-4)], 2)
        return (raw + logits).sigmoid(), self.filled(state)[..., 0]


def _mean(weights: Float[Tensor, "b m n"], places: Float[Tensor, "n 2"]) -> Float[Tensor, "b m 2"]:
    """Written without a product of matrices, which mixed precision would round to thousandths of the picture."""
    return (weights.float()[..., None] * places).sum(2)


def windows(
    features: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b m 4"], size: tuple[int, int], margin: float = 0.25
) -> Float[Tensor, "b m n c"]:
    """What a map shows in each box (centre x, y, width, height in shares), sampled at ``size`` places row by row.

    Args:
        features: the map.
        boxes: one for each window; no gradient goes through them.
        size: rows and columns of places.
        margin: by how much a window is wider and higher than its box at each side, in shares of the box's height,
            because a box that was found is never quite right.
    """
    boxes = boxes.detach().float()  # half precision would shift places by a pixel
    width, height = features.shape[3], features.shape[2]
    extra = 2 * margin * boxes[..., 3:]
    grown = boxes[..., 2:] + torch.cat([extra * height / width, extra], -1)
    offsets = [(torch.arange(count, device=boxes.device, dtype=boxes.dtype) + 0.5) / count - 0.5 for count in size]
    y, x = torch.meshgrid(*offsets, indexing="ij")
    places = boxes[..., None, None, :2] + torch.stack([x, y], -1) * grown[..., None, None, :]
    b, m, rows, columns, _ = places.shape
    grid = (2 * places - 1).reshape(b, m * rows, columns, 2)
    seen = F.grid_sample(features.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return seen.to(features.dtype).reshape(b, features.shape[1], m, rows * columns).permute(0, 2, 3, 1)
