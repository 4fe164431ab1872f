"""Metrics of semantic segmentation, all read from one confusion matrix (rows: truth, columns: prediction).

A class with neither a true nor a predicted pixel has no IoU (NaN) and is left out of the mean; a class that is
predicted but never true has IoU 0. A figure for which there is no data at all is NaN.
"""

from typing import SupportsInt

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric

from visionkit.errors import ConfigError
from visionkit.types import IGNORE_INDEX

_BLOCK = 1 << 16


def confusion_matrix(
    prediction: Int64[Tensor, "*shape"],
    target: Int64[Tensor, "*shape"],
    num_classes: int,
    ignore_index: int = IGNORE_INDEX,
) -> Int64[Tensor, "k k"]:
    """Counts of pixels by true (row) and predicted (column) class, without those whose truth is ignored.

    Raises ConfigError where a value is not a class index.
    """
    prediction, target = prediction.long().flatten(), target.long().flatten()
    if ignore_index != -1:
        target = torch.where(target == ignore_index, -1, target)
    count = _count_with_numpy if target.device.type == "cpu" else _count_on_device
    # Ignored pixels are counted in a row of their own, which is dropped: cheaper than masking them out first.
    return count(prediction, target, num_classes).view(num_classes + 1, num_classes)[1:].clone()


def iou(confusion: Int64[Tensor, "k k"]) -> Float[Tensor, " k"]:
    """Intersection over union of each class; NaN where the class is neither true nor predicted."""
    hits = confusion.diagonal()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


def accuracy(confusion: Int64[Tensor, "k k"]) -> Float[Tensor, " k"]:
    """Share of each class's true pixels that are found (recall); NaN where the class is never true."""
    return confusion.diagonal() / confusion.sum(1)


def pixel_accuracy(confusion: Int64[Tensor, "k k"]) -> Float[Tensor, ""]:
    """Share of the labelled pixels that are right; NaN where nothing is labelled."""
    return confusion.trace() / confusion.sum()


class SegmentationMetrics(Metric):
    """Figures of a whole set, exact on any number of processes because only the counts are summed.

    ``compute`` returns ``miou``, ``pixel_accuracy`` and ``mean_accuracy`` (0-D), ``iou`` and ``accuracy`` (one value
    for each class) and ``confusion`` (rows: truth).
    """

    full_state_update = False
    figures, class_figures = ("miou", "pixel_accuracy", "mean_accuracy"), ("iou", "accuracy")
    confusion: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("confusion", default=counts, dist_reduce_fx="sum")

    def update(self, prediction: Int64[Tensor, "*shape"], target: Int64[Tensor, "*shape"]) -> None:
        """Adds pixels; those whose truth is IGNORE_INDEX are left out."""
        self.confusion += confusion_matrix(prediction, target, self.num_classes)

    def compute(self) -> dict[str, Tensor]:
        """Every figure, by name."""
        per_class, recall = iou(self.confusion), accuracy(self.confusion)
        return {
            "miou": per_class.nanmean(),
            "pixel_accuracy": pixel_accuracy(self.confusion),
            "mean_accuracy": recall.nanmean(),
            "iou": per_class,
            "accuracy": recall,
            "confusion": self.confusion.clone(),
        }


def _count_with_numpy(prediction: Tensor, target: Tensor, classes: int) -> Int64[Tensor, " cells"]:
    """Blocks that stay in the cache, on one thread: reading the memory only once is what makes counting fast."""
    counts = np.zeros(classes * (classes + 1), dtype=np.int64)
    predicted, true = prediction.numpy(), target.numpy()
    for start in range(0, len(true), _BLOCK):
        columns, rows = predicted[start : start + _BLOCK], true[start : start + _BLOCK]
        _check_range("prediction", columns.min(), columns.max(), 0, classes)
        _check_range("mask", rows.min(), rows.max(), -1, classes)
        cell = rows * classes
        cell += columns
        cell += classes
        counts += np.bincount(cell, minlength=len(counts))
    return torch.from_numpy(counts)


def _count_on_device(prediction: Tensor, target: Tensor, classes: int) -> Int64[Tensor, " cells"]:
    if target.numel():
        _check_range("prediction", *prediction.aminmax(), 0, classes)
        _check_range("mask", *target.aminmax(), -1, classes)
    return torch.bincount((target + 1) * classes + prediction, minlength=classes * (classes + 1))


def _check_range(name: str, smallest: SupportsInt, largest: SupportsInt, low: int, classes: int) -> None:
    if int(smallest) < low or int(largest) >= classes:
        wrong = int(smallest) if int(smallest) < low else int(largest)
        what = f"holds the value {wrong}, which is none of the {classes} classes"
        raise ConfigError("C42", name, what, "check the dataset's list of classes")
