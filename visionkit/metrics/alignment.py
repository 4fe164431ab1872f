"""Texts that a recogniser by columns could not give, whatever it read."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric


class Unalignable(Metric):
    """``unalignable``: number of texts with more characters than their line has columns for."""

    full_state_update = False
    figures: ClassVar[tuple[str, ...]] = ("unalignable",)
    class_figures: ClassVar[tuple[str, ...]] = ()
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: Sequence[str], true: Sequence[str], unalignable: int) -> None:
        """Adds the number of a batch."""
        self.total += unalignable

    def compute(self) -> dict[str, Tensor]:
        """The figure."""
        return {"unalignable": self.total.clone()}
