"""The target of the losses of a batch of drawn edges."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from visionkit.losses.edge_targets import agreement
from visionkit.types import IGNORE_INDEX, Batch

Truth = Callable[[Float[Tensor, "b h w"]], Float[Tensor, "b h w"]]
"""Share of the annotators who drew an edge (-1 unknown) to the target of the losses (-1 ignored)."""


def known_target(batch: Batch, truth: Truth) -> Float[Tensor, "b h w"]:
    """What ``truth`` makes of the share of the annotators; -1 where it is unknown or the picture is not real."""
    target = truth(agreement(batch["edges"]))
    return target.masked_fill(~batch["valid"], IGNORE_INDEX) if "valid" in batch else target
