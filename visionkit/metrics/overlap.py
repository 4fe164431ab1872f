"""Dice of each class and case, ``2 |P and G| / (|P| + |G|)``."""

import math
from collections.abc import Sequence

from jaxtyping import Float, Int64
from torch import Tensor

from visionkit.layers.valid import real_size
from visionkit.metrics.cases import CaseMeans
from visionkit.metrics.conventions import Convention, Standard
from visionkit.metrics.segmentation import confusion_matrix
from visionkit.types import IGNORE_INDEX


def dice(confusion: Int64[Tensor, "k k"]) -> Float[Tensor, " k"]:
    """Dice of each class from a confusion matrix (float64); NaN where the class is neither true nor predicted."""
    return 2 * confusion.diagonal().double() / (confusion.sum(0) + confusion.sum(1))


def diagonal(target: Int64[Tensor, "*space"], spacing_mm: Sequence[float]) -> float:
    """Length of the case's diagonal in mm, its padding (IGNORE_INDEX at the end of every axis) left out."""
    return math.hypot(*(n * mm for n, mm in zip(real_size(target != IGNORE_INDEX), spacing_mm, strict=True)))


class CaseDice(CaseMeans):
    """``dice`` and ``mean_dice``: over cases, then over classes without the background.

    Args:
        num_classes: with the background.
        convention: what an empty class counts for; Standard by default.
    """

    def __init__(self, num_classes: int, convention: Convention | None = None) -> None:
        super().__init__("dice", num_classes)
        self.convention = convention or Standard()

    def of_case(
        self, prediction: Int64[Tensor, "*space"], target: Int64[Tensor, "*space"], spacing_mm: Sequence[float]
    ) -> list[float]:
        """Dice of each class."""
        confusion = confusion_matrix(prediction, target, self.num_classes)
        predicted, true = (confusion.sum(axis) > 0 for axis in (0, 1))
        length = diagonal(target, spacing_mm)
        return [
            figure if p and t else self.convention(p, t, length)[0]
            for figure, p, t in zip(dice(confusion).tolist(), predicted.tolist(), true.tolist(), strict=True)
        ]
