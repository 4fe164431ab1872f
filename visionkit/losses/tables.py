"""Losses of table recognition: boxes, which cells hold anything, and how the two decoders are weighted in time."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.errors import ConfigError


def filled_cross_entropy(logits: Float[Tensor, " n"], filled: Bool[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean binary cross entropy of whether cells hold anything; 0 for no cells."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    terms = F.binary_cross_entropy_with_logits(logits, filled.to(logits.dtype), reduction="sum")
    return terms / max(1, filled.numel())


def corners(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """Left, top, right, bottom of boxes given by centre, width and height."""
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)


def centred(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """Centre x, y, width and height of boxes given by left, top, right, bottom."""
    first, last = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(first + last) / 2, last - first], -1)


def generalized_iou(first: Float[Tensor, "n 4"], second: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    """Of each pair of boxes (left, top, right, bottom) the share that both cover of what either covers, less the share
    of their hull that neither covers (Rezatofighi et al. 2019, algorithm 1); from -1 to 1.
    """
    inner = (torch.minimum(first[:, 2:], second[:, 2:]) - torch.maximum(first[:, :2], second[:, :2])).clamp(min=0)
    hull = torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])
    overlap, around = inner.prod(1), hull.prod(1).clamp(min=1e-9)
    union = (first[:, 2:] - first[:, :2]).prod(1) + (second[:, 2:] - second[:, :2]).prod(1) - overlap
    return overlap / union.clamp(min=1e-9) - (around - union) / around


def box_loss(boxes: Float[Tensor, "n 4"], truth: Float[Tensor, "n 4"], iou: float = 0.4) -> Float[Tensor, ""]:
    """Mean over boxes (centre x, y, width, height in shares) of the sum of absolute differences and ``iou`` times one
    minus the generalised IoU; 0 for no boxes. 5 to 2 as in DETR (Carion et al. 2020) with the default.
    """
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    apart = (boxes - truth).abs().sum(1) + iou * (1 - generalized_iou(corners(boxes), corners(truth)))
    return apart.sum() / max(1, len(boxes))


def attention_loss(
    attention: Float[Tensor, "k n"], boxes: Float[Tensor, "k 4"], places: Float[Tensor, "n 2"]
) -> Float[Tensor, ""]:
    """Mean over boxes (centre x, y, width, height in shares) of minus the logarithm of the attention that falls into
    each; 0 for no boxes.

    Args:
        attention: shares that sum to 1.
        boxes: each takes in the places that it touches, so that none is without.
        places: x, y of the centres of a grid in shares; the first is half a place from both borders.
    """
    touched = ((places - boxes[:, None, :2]).abs() <= boxes[:, None, 2:] / 2 + places[0]).all(2)
    inside = (attention * touched).sum(1)
    return -(inside + 1e-6).log().sum() / max(1, len(boxes))


class Stages(nn.Module):
    """The structure's share of the loss of structure and cells, by the step of the training (EDD trains the structure
    alone first).

    The steps are counted here and kept with the weights, so that a run that goes on knows its stage.

    Args:
        structure: ``[step, share]`` pairs, each share from its step on: ``[[0, 1.0], [5000, 0.5]]``.

    Raises ConfigError C214 where no share is given for step 0, or one is not above 0 and at most 1.
    """

    steps: Tensor

    def __init__(self, structure: Sequence[Sequence[float]] = ((0, 0.5),)) -> None:
        super().__init__()
        shares = {int(step): float(share) for step, share in structure}
        if min(shares, default=1) != 0 or not all(0 < share <= 1 for share in shares.values()):
            fix = "write [[0, 1.0], [5000, 0.5]]: from which step on which share, above 0 and at most 1"
            raise ConfigError("C214", "task.stages.structure", f"{shares} are no stages", fix)
        self.shares = dict(sorted(shares.items()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self) -> float:
        """The structure's share now; a call in training counts as a step."""
        now = int(self.steps)
        if self.training:
            self.steps += 1
        return [share for step, share in self.shares.items() if step <= now][-1]
