"""Figures of whole cases: the mean of each class over the cases, then over the classes without the background."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric


class CaseMeans(Metric):
    """Sums and counts of one figure for each class; exact on any number of processes because only these are reduced.

    A figure that is NaN is not counted. Class 0 is the background. ``compute`` returns ``mean_<name>`` (0-D) and
    ``<name>`` (one value for each class, NaN where no case counts).

    Args:
        name: of the figure.
        num_classes: with the background.
    """

    full_state_update = False
    total: Tensor
    cases: Tensor

    def __init__(self, name: str, num_classes: int) -> None:
        super().__init__()
        self.name, self.num_classes = name, num_classes
        self.figures, self.class_figures = (f"mean_{name}",), (name,)
        self.add_state("total", torch.zeros(num_classes, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("cases", torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        prediction: Int64[Tensor, "b *space"],
        target: Int64[Tensor, "b *space"],
        spacing_mm: Float[Tensor, "b n"] | None = None,
    ) -> None:
        """Adds cases; voxels whose truth is IGNORE_INDEX are left out of both."""
        for case, (predicted, true) in enumerate(zip(prediction, target, strict=True)):
            spacing = [1.0] * true.ndim if spacing_mm is None else spacing_mm[case].tolist()
            figures = torch.tensor(self.of_case(predicted, true, spacing), dtype=torch.float64)
            self.total += figures.nan_to_num(0.0).to(self.total.device)
            self.cases += figures.isfinite().to(self.cases.device)

    def of_case(
        self, prediction: Int64[Tensor, "*space"], target: Int64[Tensor, "*space"], spacing_mm: Sequence[float]
    ) -> list[float]:
        """The figure of each class in one case."""
        raise NotImplementedError

    def compute(self) -> dict[str, Any]:
        """Both figures, by name."""
        means = self.total / self.cases
        return {f"mean_{self.name}": means[1:].nanmean(), self.name: means}
