"""Edges by the protocol of the Berkeley benchmark: ODS, OIS, AP, R50, standard and crisp, and average crispness.

The pure functions are in ``edge_protocol``. Only sums over pictures are kept, so any number of processes gives the
same figures.
"""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int8
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from visionkit.errors import ConfigError
from visionkit.labels import Edges
from visionkit.metrics.edge_protocol import curve
from visionkit.metrics.edge_protocol.counting import Counts, eight_bits, threshold_counts
from visionkit.metrics.edge_protocol.crispness import crispness
from visionkit.metrics.edge_protocol.nms import Suppression
from visionkit.metrics.edge_protocol.thinning import thin
from visionkit.types import IGNORE_INDEX

STANDARD = Suppression()


def picture_counts(
    probability: Float[Tensor, "h w"],
    edges: Int8[Tensor, "a h w"],
    tolerance: float,
    thresholds: int = 99,
    suppression: Suppression | None = STANDARD,
) -> Counts:
    """Counts of one picture. What is no number counts as no edge; the figures tell of it by being NaN.

    Args:
        probability: of an edge.
        edges: of each annotator; a place counts where at least one of them knows it.
        tolerance: see ``labels.Edges``.
        thresholds: how many.
        suppression: None for crisp evaluation, which also leaves the thinning out.
    """
    values = _array(probability)
    found = eight_bits(values if suppression is None else suppression(values))
    maps = edges.cpu().numpy()
    known = (maps != IGNORE_INDEX).any(0)
    return threshold_counts(found, maps == 1, known, tolerance, thresholds, thinned=suppression is not None)


def picture_f(probability: Float[Tensor, "h w"], edges: Int8[Tensor, "a h w"], tolerance: float) -> float:
    """F of one picture at its own best threshold; NaN where any probability is no number."""
    if probability.isnan().any():
        return math.nan
    return float(curve.f_measure(picture_counts(probability, edges, tolerance)).max())


def thin_edges(probability: Float[Tensor, "h w"], threshold: float) -> Bool[np.ndarray, "h w"]:
    """The lines that the standard evaluation finds at a threshold."""
    return thin(STANDARD(_array(probability)) >= threshold)


class EdgeBenchmark(Metric):
    """``ods``, ``ois``, ``ap`` and ``r50`` of a set, and ``precision_recall``: threshold, recall and precision.

    One probability that is no number makes every figure of the set NaN: a broken network is not one that sees no edges.

    Args:
        tolerance: see ``labels.Edges``.
        thresholds: how many.
        suppression: as of ``picture_counts``.
        prefix: of the figures' names.

    Raises ConfigError C150: there is no threshold.
    """

    full_state_update = False
    class_figures = ()
    counts: Tensor
    best: Tensor
    broken: Tensor

    def __init__(
        self,
        tolerance: float,
        thresholds: int = 99,
        suppression: Suppression | None = STANDARD,
        prefix: str = "",
    ) -> None:
        super().__init__()
        if thresholds < 1:
            what = f"{thresholds} thresholds leave nothing to count"
            raise ConfigError("C150", "task.metrics.thresholds", what, "take at least 1; the benchmark has 99")
        self.tolerance, self.thresholds, self.suppression, self.prefix = tolerance, thresholds, suppression, prefix
        self.figures = tuple(prefix + name for name in ("ods", "ois", "ap", "r50"))
        self.add_state("counts", torch.zeros(thresholds, 4, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("best", torch.zeros(1, 4, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("broken", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Float[Tensor, "b h w"], target: Int8[Tensor, "b a h w"]) -> None:
        """Adds pictures."""
        for probability, edges in zip(prediction, target, strict=True):
            self.broken += int(probability.isnan().any())
            counts = picture_counts(probability, edges, self.tolerance, self.thresholds, self.suppression)
            self.counts += torch.from_numpy(counts).to(self.counts.device)
            self.best += torch.from_numpy(curve.best_counts(counts)).to(self.best.device)

    def compute(self) -> dict[str, Tensor]:
        """Every figure, by name."""
        counts, best = self.counts.cpu().numpy(), self.best.cpu().numpy()
        values = (
            curve.best_f(counts),
            float(curve.f_measure(best)[0]),
            curve.average_precision(counts),
            curve.recall_at_half(counts),
        )
        levels = np.arange(1, self.thresholds + 1) / (self.thresholds + 1)
        drawn = np.stack([levels, *curve.recall_precision(counts)], axis=1)
        spoilt = math.nan if self.broken else 1.0
        drawn[:, 1:] *= spoilt
        figures = {name: _scalar(spoilt * value) for name, value in zip(self.figures, values, strict=True)}
        return {**figures, f"{self.prefix}precision_recall": torch.from_numpy(drawn)}


class AverageCrispness(Metric):
    """``ac``, the mean of ``crispness`` over the pictures in which anything is found; NaN where there is none.

    One probability that is no number makes it NaN, too.
    """

    full_state_update = False
    figures, class_figures = ("ac",), ()
    total: Tensor
    pictures: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("pictures", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Float[Tensor, "b h w"], target: Int8[Tensor, "b a h w"] | None = None) -> None:
        """Adds pictures; the truth is not looked at."""
        for probability in prediction:
            broken = bool(probability.isnan().any())
            value = math.nan if broken else crispness(_array(probability))
            if broken or not math.isnan(value):
                self.total += value
                self.pictures += 1

    def compute(self) -> dict[str, Tensor]:
        """The figure, by name."""
        return {"ac": self.total / self.pictures}


def protocol(labels: Edges, thresholds: int = 99, crisp: bool = False, blur_px: int = 0) -> MetricCollection:
    """The metrics of an edge task as one collection; ``crisp`` adds ``crisp_ods`` and so on.

    Arguments as of ``EdgeBenchmark`` and ``Suppression``.
    """
    standard = EdgeBenchmark(labels.tolerance, thresholds, Suppression(blur_px=blur_px))
    metrics: dict[str, Metric] = {"standard": standard, "crispness": AverageCrispness()}
    if crisp:
        metrics["crisp"] = EdgeBenchmark(labels.tolerance, thresholds, None, "crisp_")
    # Grouping would share the states of metrics that agree after one batch.
    return MetricCollection(metrics, compute_groups=False)  # type: ignore[arg-type]


def _array(probability: Float[Tensor, "h w"]) -> Float64[np.ndarray, "h w"]:
    return np.nan_to_num(probability.detach().cpu().double().numpy(), nan=0.0)


def _scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
