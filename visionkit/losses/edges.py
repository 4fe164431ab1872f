"""Losses of edge detection: terms ``(logits b h w, target b h w) -> scalar``; a target of -1 is left out.

Counts are taken over the whole batch, so that a picture without edges is no special case. A batch without edges, or
one in which nothing is known, costs nothing by the balanced loss, whose weights are then 0.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_TINY = 1e-12


def balanced_bce(
    logits: Float[Tensor, "b h w"], target: Float[Tensor, "b h w"], negative: float = 1.0
) -> Float[Tensor, ""]:
    """Binary cross entropy with the two classes of equal weight, as a mean by these weights.

    A pixel on an edge weighs ``n_neg / n``, one of the ground ``negative * n_pos / n`` (Xie and Tu 2015, equation 2,
    with ``negative=1``; Liu et al. 2017, equation 1, with 1.1). Targets between 0 and 1 count by their value as edge
    and by the rest as ground.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    known = target >= 0
    edge, ground = target * known, (1 - target) * known
    count = known.sum().clamp(min=1)
    on_edge, on_ground = ground.sum() / count, negative * edge.sum() / count
    # softplus(-x) is -log sigmoid(x).
    pixels = on_edge * edge * F.softplus(-logits) + on_ground * ground * F.softplus(logits)
    return pixels.sum() / (on_edge * edge.sum() + on_ground * ground.sum()).clamp(min=_TINY)


def edge_dice(logits: Float[Tensor, "b h w"], target: Float[Tensor, "b h w"], smooth: float = 1.0) -> Float[Tensor, ""]:
    """One minus the Dice of probability and target with squares below, which favours thin edges (Deng et al. 2018)."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    known = target >= 0
    truth, probability = target * known, logits.sigmoid() * known
    overlap = 2 * (probability * truth).sum() + smooth
    return 1 - overlap / (probability.square().sum() + truth.square().sum() + smooth).clamp(min=_TINY)


class BalancedBCE(nn.Module):
    """``balanced_bce`` as a term of a task's loss."""

    def __init__(self, weight: float = 1.0, negative: float = 1.0) -> None:
        super().__init__()
        self.weight, self.negative = weight, negative

    def forward(self, logits: Float[Tensor, "b h w"], target: Float[Tensor, "b h w"]) -> Float[Tensor, ""]:
        """The unweighted term."""
        return balanced_bce(logits, target, self.negative)


class EdgeDice(nn.Module):
    """``edge_dice`` as a term of a task's loss."""

    def __init__(self, weight: float = 1.0, smooth: float = 1.0) -> None:
        super().__init__()
        self.weight, self.smooth = weight, smooth

    def forward(self, logits: Float[Tensor, "b h w"], target: Float[Tensor, "b h w"]) -> Float[Tensor, ""]:
        """The unweighted term."""
        return edge_dice(logits, target, self.smooth)
