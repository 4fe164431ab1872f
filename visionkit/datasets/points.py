"""Datasets of a picture and points in it, in files of their own."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from visionkit.datasets.findings import Finding
from visionkit.datasets.pairs import Pair, Pairs
from visionkit.errors import DataError
from visionkit.labels import Objects
from visionkit.types import Sample

Reader = Callable[[Path], Float32[Tensor, "n 2"]]
"""Path to points: x, y in pixels, the first pixel's centre at (0.5, 0.5); some may lie outside the picture."""


class PointPairs(Pairs):
    """Reads listed pairs of a picture and the file of its points, ``mask`` of the pair.

    Args:
        pairs: with keys that differ.
        read_points: reads the points.
        labels: what the points stand on.
        channels: 1 or 3.
        doubts: what the listing found strange without losing a sample.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        read_points: Reader,
        labels: Objects | None = None,
        channels: int = 3,
        doubts: Iterable[Finding] = (),
    ) -> None:
        super().__init__(pairs, labels or Objects(), read_points, channels, doubts, target="points")

    def _missing(self, pair: Pair) -> DataError:
        fix = "add a file, an empty one where nobody is there, or take the picture out"
        return DataError("D24", pair.image, "has no points", fix)

    def _misfits(self, pair: Pair, sample: Sample) -> list[DataError]:
        """None: points may lie outside the picture."""
        return []


def as_points(values: object, path: Path, expected: str) -> Float32[Tensor, "n 2"]:
    """Points from numbers n x 2 (or more columns), nothing at all being no points.

    Raises DataError: D90 other numbers, D92 points that are not finite.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError("D90", path, "holds something that is no list of points", expected) from error
    if array.size == 0:
        return torch.zeros(0, 2)
    if array.ndim != 2 or array.shape[1] < 2:
        raise DataError("D90", path, f"holds numbers of the shape {list(array.shape)}", expected)
    if not np.isfinite(array[:, :2]).all():
        row = int((~np.isfinite(array[:, :2])).any(1).argmax())
        raise DataError("D92", path, f"its point {row + 1} is no number", "mend or remove it")
    return torch.from_numpy(array[:, :2].astype(np.float32))
