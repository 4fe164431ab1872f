"""Drawn edges as pictures: what an autoencoder of edge maps sees."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from visionkit.datasets.findings import Finding
from visionkit.errors import ConfigError, DataError
from visionkit.losses.edge_targets import agreement, soft
from visionkit.types import Dataset, Sample

Truth = Callable[[Float[Tensor, "h w"]], Float[Tensor, "h w"]]


class Drawings:
    """Any dataset of edges, the image of each sample replaced by what its annotators drew, 0..255 in one channel.

    Args:
        layout: the dataset.
        split: train, val or test.
        root: the dataset's folder; None where it needs none.
        channels: 1.
        truth: the drawing from the share of the annotators (see ``losses.edge_targets``); where it is unknown (-1)
            the image is black.

    Raises ConfigError: C161 other than one channel, C162 a dataset without edges.
    """

    def __init__(
        self,
        layout: Callable[..., Dataset],
        split: str,
        root: str | Path | None = None,
        channels: int = 1,
        truth: Truth = partial(soft, threshold=0.3),  # noqa: B008
    ) -> None:
        if channels != 1:
            raise ConfigError("C161", f"dataset.channels={channels}", "a drawing has one channel", "set it to 1")
        place: dict[str, Any] = {} if root is None else {"root": root}
        self.dataset, self.truth = layout(split=split, channels=3, **place), truth
        self.labels = self.dataset.labels
        if "edges" not in self.labels:
            fix = "choose one that has, such as visionkit.datasets.bsds.BSDS"
            raise ConfigError("C162", "dataset.layout", "the dataset has no edges", fix)

    def __len__(self) -> int:
        return len(self.dataset)

    def key(self, index: int) -> str:
        """The sample's own."""
        return self.dataset.key(index)

    def __getitem__(self, index: int) -> Sample:
        """Reads one sample. Raises DataError as the dataset does."""
        return self._drawn(self.dataset[index])

    def examine(self, index: int) -> tuple[Sample, list[DataError]]:
        """What can be read of a sample, and every fault of its files."""
        if not hasattr(self.dataset, "examine"):
            return self[index], []
        sample, errors = self.dataset.examine(index)
        return (sample if errors else self._drawn(sample)), errors

    def problems(self) -> list[Finding]:
        """What the dataset's listing found strange."""
        return self.dataset.problems() if hasattr(self.dataset, "problems") else []

    def _drawn(self, sample: Sample) -> Sample:
        drawing = self.truth(agreement(sample["edges"])).clamp(min=0)
        return {**sample, "image": (255 * drawing).round().byte()[None]}
