"""What a class counts for in a case in which it is empty: missing from the prediction, from the truth, or from both."""

import math
from collections.abc import Callable
from dataclasses import dataclass

Convention = Callable[[bool, bool, float], tuple[float, float]]
"""(anything predicted, anything true, diagonal of the case) -> Dice and distance; NaN leaves the case out.

It is asked only where one of the two is empty.
"""


@dataclass(frozen=True)
class Standard:
    """A class in neither is not counted; a class in only one of them has Dice 0 and the case's diagonal as distance.

    Args:
        absent_dice: Dice of a class in neither (its distance is then 0); None leaves the case out.
        penalise: False leaves the case out of the distance, not of Dice, where only one of the two is empty.
    """

    absent_dice: float | None = None
    penalise: bool = True

    def __call__(self, predicted: bool, true: bool, diagonal: float) -> tuple[float, float]:
        """Dice and distance (in the unit of ``diagonal``)."""
        if predicted or true:
            return 0.0, diagonal if self.penalise else math.nan
        return (math.nan, math.nan) if self.absent_dice is None else (self.absent_dice, 0.0)


@dataclass(frozen=True)
class TransUNet:
    """As in the evaluation of TransUNet (Chen et al. 2021), which later work on Synapse and ACDC kept.

    Predicted but not true: Dice 1, distance 0. Not predicted, whether true or not: Dice 0, distance 0.
    """

    def __call__(self, predicted: bool, true: bool, diagonal: float) -> tuple[float, float]:
        """Dice and distance."""
        return (1.0, 0.0) if predicted else (0.0, 0.0)
