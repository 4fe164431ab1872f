"""What each task reaches without a network: the least that a trained one must beat."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch

from visionkit.baselines.canny import Canny
from visionkit.layers.points import inside
from visionkit.text.batches import to_code_points
from visionkit.types import Prediction, Sample


class Baseline(Protocol):
    """Looks at training samples, then says the same of every picture, or what needs no learning."""

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns from samples that carry the target."""

    def predict(self, sample: Sample) -> Prediction:
        """A batch of one."""


@dataclass
class MeanCount:
    """The mean count of training."""

    count: float = 0.0

    def fit(self, samples: Iterable[Sample]) -> None:
        """The mean number of points inside the pictures, for no others are counted."""
        counts = [int(inside(sample["points"], sample["image"].shape[1:]).sum()) for sample in samples]
        self.count = sum(counts) / max(1, len(counts))

    def predict(self, sample: Sample) -> Prediction:
        """The same density everywhere."""
        size = sample["image"].shape[1:]
        return {"density": torch.full((1, *size), self.count / max(1, size.numel()))}


@dataclass
class MajorityClass:
    """The most frequent class everywhere."""

    index: int = 0

    def fit(self, samples: Iterable[Sample]) -> None:
        """Counts the known pixels of every class."""
        counts: Counter[int] = Counter()
        for sample in samples:
            mask = sample["mask"]
            classes, pixels = mask[mask >= 0].unique(return_counts=True)
            counts.update(dict(zip(classes.tolist(), pixels.tolist(), strict=True)))
        self.index = counts.most_common(1)[0][0] if counts else 0

    def predict(self, sample: Sample) -> Prediction:
        """One class, for sure."""
        size = sample["image"].shape[1:]
        return {"mask": torch.full((1, *size), self.index), "confidence": torch.ones(1, *size)}


@dataclass
class CannyEdges:
    """Canny's detector."""

    canny: Canny = field(default_factory=Canny)

    def fit(self, samples: Iterable[Sample]) -> None:
        """Nothing."""

    def predict(self, sample: Sample) -> Prediction:
        """The map of its thresholds."""
        return {"edges": self.canny(sample["image"])[None]}


@dataclass
class EmptyTable:
    """An empty table."""

    def fit(self, samples: Iterable[Sample]) -> None:
        """Nothing."""

    def predict(self, sample: Sample) -> Prediction:
        """The HTML of it."""
        html = "<html><body><table></table></body></html>"
        return {"table": to_code_points([html]), "cell_boxes": torch.empty(1, 0, 4)}


@dataclass
class MostFrequentText:
    """The most frequent text."""

    text: str = ""

    def fit(self, samples: Iterable[Sample]) -> None:
        """Counts the texts."""
        counts = Counter(sample["text"] for sample in samples)
        self.text = min(counts, key=lambda text: (-counts[text], text)) if counts else ""

    def predict(self, sample: Sample) -> Prediction:
        """Its code points."""
        return {"text": to_code_points([self.text])}


def carrying(target: str, samples: Iterable[Sample], most: int | None = None) -> Iterator[Sample]:
    """The samples that carry a target, the first ``most`` of them."""
    for count, sample in enumerate(sample for sample in samples if target in sample):
        if most is not None and count >= most:
            return
        yield sample
