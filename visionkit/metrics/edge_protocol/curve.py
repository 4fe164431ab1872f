"""From counts at thresholds to the figures of the benchmark.

All take counts as ``counting.Counts``. Where nothing is drawn and nothing found F is 1, where one of the two is empty
it is 0; the benchmark itself says nothing of pictures without edges, which BSDS500 does not have.
"""

import numpy as np
from jaxtyping import Float64, Int64

from visionkit.metrics.edge_protocol.counting import Counts

_STEPS = 100
_SMALLEST_RECALL = 1e-3


def recall_precision(counts: Counts) -> tuple[Float64[np.ndarray, " t"], Float64[np.ndarray, " t"]]:
    """Both at each threshold, 0 where nothing is drawn or nothing found."""
    met, drawn, right, found = counts.astype(np.float64).T
    return met / np.maximum(drawn, 1), right / np.maximum(found, 1)


def f_measure(counts: Counts) -> Float64[np.ndarray, " t"]:
    """Harmonic mean of recall and precision at each threshold."""
    return np.where(counts[:, 1] + counts[:, 3] == 0, 1.0, _harmonic(*recall_precision(counts)))


def best_f(counts: Counts) -> float:
    """Largest F at one threshold for all (ODS): recall and precision are interpolated between thresholds."""
    recall, precision = recall_precision(counts)
    share = np.linspace(0, 1, _STEPS)
    between = [np.outer(v[1:], share) + np.outer(v[:-1], 1 - share) for v in (recall, precision)]
    return float(max(f_measure(counts).max(), _harmonic(*between).max(initial=0.0)))


def best_counts(counts: Counts) -> Int64[np.ndarray, "4"]:
    """Counts at the picture's own best threshold, the lowest of several; their sum over pictures gives the OIS."""
    return counts[int(f_measure(counts).argmax())]


def average_precision(counts: Counts) -> float:
    """Precision at recalls 0, 0.01 to 1, 0 where no threshold reaches them; the sum of these 101 divided by 100.

    1 where nothing is drawn and nothing found at any threshold.
    """
    if not counts[:, [1, 3]].any():
        return 1.0
    recall, precision = _distinct(counts)
    if len(recall) < 2:
        return 0.0
    return float(np.interp(np.arange(101) / 100, recall, precision, left=0.0, right=0.0).sum() / 100)


def recall_at_half(counts: Counts) -> float:
    """Recall where half of what is found is right (R50), or at the lowest precision if that is above; 0 if it is below.

    1 where nothing is drawn and nothing found at any threshold.
    """
    if not counts[:, [1, 3]].any():
        return 1.0
    recall, precision = (values[::-1] for values in _distinct(counts))
    shown = recall >= _SMALLEST_RECALL
    precisions, first = np.unique(precision[shown], return_index=True)
    if not len(precisions):
        return 0.0
    wanted = max(float(precisions[0]), 0.5)
    return float(np.interp(wanted, precisions, recall[shown][first], right=0.0))


def _distinct(counts: Counts) -> tuple[Float64[np.ndarray, " r"], Float64[np.ndarray, " r"]]:
    """Rising recalls, each once, and the precision at the lowest threshold that has it."""
    recall, precision = recall_precision(counts)
    recalls, first = np.unique(recall, return_index=True)
    return recalls, precision[first]


def _harmonic(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    return 2 * recall * precision / np.maximum(recall + precision, 1e-12)
