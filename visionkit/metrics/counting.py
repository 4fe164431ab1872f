"""Errors of counts: of whole pictures (MAE, RMSE, relative) and of ever smaller rectangles of them (GAME)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from visionkit.labels import Objects
from visionkit.layers.mass import resize_mass
from visionkit.layers.points import cells_of

LEVELS = 4


def found_counts(density: Float[Tensor, "h w"], level: int) -> Float64[Tensor, "side side"]:
    """Objects in each of ``4 ** level`` equal rectangles; a pixel on a border counts by its area on each side."""
    return resize_mass(density.detach().cpu().double(), (2**level, 2**level))


def true_counts(points: Float[Tensor, "n 2"], size: Sequence[int], level: int) -> Int64[Tensor, "side side"]:
    """Points in each of ``4 ** level`` equal rectangles of a picture of height and width ``size``."""
    side = 2**level
    rows, columns = cells_of(points, size, (side, side)).unbind(1)
    return torch.bincount(rows * side + columns, minlength=side * side).view(side, side)


def grid_errors(
    density: Float[Tensor, "h w"], points: Float[Tensor, "n 2"], levels: int = LEVELS
) -> Float64[Tensor, " levels"]:
    """Sum of the absolute errors of the rectangles' counts for each level of GAME (Guerrero-Gomez-Olmedo et al. 2015).

    Level 0 is the whole picture. It never falls from level to level.
    """
    differences = (found_counts(density, level) - true_counts(points, density.shape, level) for level in range(levels))
    return torch.stack([difference.abs().sum() for difference in differences])


class CountErrors(Metric):
    """Means over pictures; 0 where there are none.

    ``mae`` is the mean absolute error, ``rmse`` the root of the mean square (what papers on crowds call MSE), ``nae``
    the mean of the error over the true count (over 1 where nobody is there), ``bias`` the mean of found minus true,
    ``game1`` to ``game3`` the mean of ``grid_errors``. GAME of level 0 is ``mae``.
    """

    full_state_update = False
    figures = ("mae", "rmse", "nae", "bias", "game1", "game2", "game3")
    class_figures = ()
    grid: Tensor
    sums: Tensor
    pictures: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("grid", torch.zeros(LEVELS, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("sums", torch.zeros(3, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("pictures", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, density: Float[Tensor, "h w"], points: Float[Tensor, "n 2"]) -> None:
        """Adds a picture without padding, and the points inside it."""
        error = float(density.detach().double().sum()) - len(points)
        self.grid += grid_errors(density, points).to(self.grid.device)
        self.sums += self.sums.new_tensor([error, error**2, abs(error) / max(1, len(points))])
        self.pictures += 1

    def compute(self) -> dict[str, Tensor]:
        """Figures by name."""
        count = self.pictures.clamp(min=1)
        bias, square, relative = (self.sums / count).unbind()
        mae, *game = (self.grid / count).unbind()
        named = {f"game{level}": value for level, value in enumerate(game, start=1)}
        return {"mae": mae, "rmse": square.sqrt(), "nae": relative, "bias": bias, **named}


def counting(labels: Objects) -> MetricCollection:
    """The collection of this one metric."""
    return MetricCollection([CountErrors()])
