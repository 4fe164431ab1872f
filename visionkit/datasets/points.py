"""Datasets of a picture and points in it, in files of their own."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from visionkit.datasets.findings import Finding
from visionkit.datasets.images import read_image
from visionkit.datasets.pairs import Pair
from visionkit.errors import DataError
from visionkit.types import Objects, Sample

Reader = Callable[[Path], Float32[Tensor, "n 2"]]
"""Path to points: x, y in pixels, the first pixel's centre at (0.5, 0.5); some may lie outside the picture."""


class PointPairs:
    """Reads listed pairs of a picture and the file of its points.

    Faults of the listing are raised sample by sample, so that a check sees them all.

    Args:
        pairs: with keys that differ; ``mask`` is the file of the points.
        read_points: reads it.
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
        self.labels = {"points": labels or Objects()}
        self.channels = channels
        self._pairs, self._read, self._doubts = tuple(pairs), read_points, tuple(doubts)

    def __len__(self) -> int:
        return len(self._pairs)

    def key(self, index: int) -> str:
        """Name of the picture without its ending."""
        return self._pairs[index].key

    def __getitem__(self, index: int) -> Sample:
        """Reads one sample: image uint8 c h w, points float32 n 2, valid bool h w. Raises DataError."""
        sample, errors = self.examine(index)
        if errors:
            raise errors[0]
        return sample

    def examine(self, index: int) -> tuple[Sample, list[DataError]]:
        """What can be read of a sample, and every fault of its files."""
        pair = self._pairs[index]
        sample: Sample = {"key": pair.key, "path": str(pair.image)}
        errors: list[DataError] = []
        if pair.fault is not None:
            return sample, [pair.fault]
        try:
            sample["image"] = read_image(pair.image, self.channels)
            sample["valid"] = torch.ones(sample["image"].shape[1:], dtype=torch.bool)
        except DataError as error:
            errors.append(error)
        try:
            if pair.mask is None:
                fix = "add a file, an empty one where nobody is there, or take the picture out"
                raise DataError("D24", pair.image, "has no points", fix)
            sample["points"] = self._read(pair.mask)
        except DataError as error:
            errors.append(error)
        return sample, errors

    def problems(self) -> list[Finding]:
        """What the listing found strange without losing a sample."""
        return list(self._doubts)


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
