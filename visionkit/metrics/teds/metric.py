"""TEDS as a metric over a dataset: of all tables, of simple and of complex ones, with contents and without."""

import logging
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from visionkit.metrics.teds.teds import Limits, Score, scores

_log = logging.getLogger(__name__)


class Teds(Metric):
    """Means over tables; NaN where there are none of a kind. A table without a prediction counts 0.

    Tables beyond the limits are in no mean: each is named in a warning, and ``tables_unscored`` counts them.

    Args:
        ignore: tags inside cells that are taken away while their text stays.
        limits: of a single comparison.
        workers: processes; below 2 everything happens in this one.
    """

    full_state_update = False
    figures = (
        *("teds", "teds_simple", "teds_complex", "teds_struct", "teds_struct_simple", "teds_struct_complex"),
        "tables_unscored",
    )
    class_figures = ()
    sums: Tensor
    counts: Tensor
    unscored: Tensor

    def __init__(self, ignore: Collection[str] = (), limits: Limits | None = None, workers: int = 0) -> None:
        super().__init__()
        self.ignore, self.limits, self.workers = tuple(ignore), limits or Limits(), workers
        self._last: tuple[tuple[tuple[str, ...], ...], list[Score]] | None = None
        self.add_state("sums", torch.zeros(2, 2, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(2, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("unscored", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Sequence[str], target: Sequence[str]) -> None:
        """Adds tables, both as pages of HTML."""
        for result in self.scores(prediction, target):
            if result.refused:
                self.unscored += 1
                _log.warning("a table is left out of TEDS: %s", result.refused)
                continue
            kind = int(result.complex)
            self.sums[kind] += torch.tensor(result[:2], dtype=torch.float64, device=self.sums.device)
            self.counts[kind] += 1

    def scores(self, prediction: Sequence[str], target: Sequence[str]) -> list[Score]:
        """The score of each pair; of the last pairs they are kept, because a report asks for those again."""
        pairs = (tuple(prediction), tuple(target))
        if self._last is None or self._last[0] != pairs:
            self._last = pairs, scores(prediction, target, self.ignore, self.limits, self.workers)
        return self._last[1]

    def compute(self) -> dict[str, Tensor]:
        """The figures, by name."""
        simple, complex_ = self.sums / self.counts[:, None]
        together = self.sums.sum(0) / self.counts.sum()
        parts = (("", together), ("_simple", simple), ("_complex", complex_))
        found = {f"teds{name}{end}": value[i] for i, name in enumerate(("", "_struct")) for end, value in parts}
        return {**found, "tables_unscored": self.unscored.double()}


def teds_metrics(
    labels: Any, ignore: Collection[str] = (), limits: Limits | None = None, workers: int = 0
) -> MetricCollection:
    """The collection of this one metric; what the dataset says of its tables changes nothing."""
    return MetricCollection([Teds(ignore, limits, workers)])
