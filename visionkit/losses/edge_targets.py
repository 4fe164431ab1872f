"""From the maps of several annotators to one target; pure functions, -1 where it is unknown or ignored."""

from jaxtyping import Float, Int8
from torch import Tensor

from visionkit.types import IGNORE_INDEX


def agreement(edges: Int8[Tensor, "*b a h w"]) -> Float[Tensor, "*b h w"]:
    """Share of the annotators who drew an edge, among those who know the place; -1 where nobody does."""
    known = (edges != IGNORE_INDEX).sum(-3)
    share = (edges == 1).sum(-3) / known.clamp(min=1)
    return share.masked_fill(known == 0, IGNORE_INDEX)


def soft(share: Float[Tensor, "*b h w"], threshold: float = 0.3) -> Float[Tensor, "*b h w"]:
    """1 where at least ``threshold`` of the annotators agree, else their share (DiffusionEdge, Ye et al. 2024)."""
    return share.masked_fill(share >= threshold, 1.0)


def consensus(share: Float[Tensor, "*b h w"], threshold: float = 0.5, ignore: bool = True) -> Float[Tensor, "*b h w"]:
    """1 where at least ``threshold`` of the annotators agree, 0 where none drew, -1 in between (RCF, Liu et al. 2017).

    Without ``ignore`` what lies in between is 0 as well (HED, Xie and Tu 2015).
    """
    disputed = (share > 0) & (share < threshold)
    target = share.masked_fill(share >= threshold, 1.0)
    return target.masked_fill(disputed, IGNORE_INDEX if ignore else 0.0)
