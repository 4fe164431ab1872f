"""Examples: a dataset with its transforms, addressed by place in training so that randomness needs no state."""

import logging
from collections.abc import Iterator, Sequence
from typing import Literal

from torch.utils.data import Dataset as TorchDataset

from visionkit.errors import ConfigError, DataError
from visionkit.seeding import generator
from visionkit.types import Dataset, Sample, Transform

OnBad = Literal["error", "skip"]


class Examples(TorchDataset):
    """Transformed samples; ``examples[epoch, index]`` depends on the seed, the epoch and the key alone."""

    def __init__(
        self, dataset: Dataset, transforms: Sequence[Transform] = (), *, seed: int = 0, on_bad: OnBad = "error"
    ) -> None:
        if on_bad not in ("error", "skip"):
            raise ConfigError("C10", "dataset.on_bad", f"'{on_bad}' is not known", "choose error or skip")
        self.dataset, self.transforms, self.seed, self.on_bad = dataset, tuple(transforms), seed, on_bad

    def __len__(self) -> int:
        return len(self.dataset)

    def key(self, index: int) -> str:
        """Stable id of a sample, without reading it."""
        return self.dataset.key(index)

    def __getitem__(self, place: int | tuple[int, int]) -> Sample:
        epoch, index = place if isinstance(place, tuple) else (0, place)
        sample = self.dataset[index]
        for number, transform in enumerate(self.transforms):
            sample = transform(sample, generator(self.seed, "transform", number, epoch, self.key(index)))
        return sample

    def fetch(self, epoch: int, index: int) -> Sample | DataError | None:
        """Like indexing, but a bad file is returned (a worker cannot raise it), or None where it is skipped."""
        try:
            return self[epoch, index]
        except DataError as error:
            if self.on_bad == "skip":
                logging.getLogger(__name__).warning("skipped: %s", error)
                return None
            return error

    def usable(self) -> Iterator[Sample]:
        """Every sample in order, without those that are skipped. Raises the DataError of one that must not be."""
        for index in range(len(self)):
            fetched = self.fetch(0, index)
            if isinstance(fetched, DataError):
                raise fetched
            if fetched is not None:
                yield fetched
