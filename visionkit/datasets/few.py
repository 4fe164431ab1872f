"""A few samples of a dataset, the same in every split: what a network that works can learn by heart."""

from collections.abc import Callable, Mapping
from typing import Any

from visionkit.errors import ConfigError
from visionkit.types import Dataset, Sample


class Few:
    """The first samples of the training split, whichever split is asked for.

    Args:
        of: the layout, called as ``of(split="train", **options)``.
        split: has no effect.
        count: of samples.
        options: of the layout.

    Raises ConfigError C197 for a count that is none.
    """

    def __init__(self, of: Callable[..., Dataset], split: str, count: int = 32, **options: Any) -> None:
        if count < 1:
            raise ConfigError("C197", "dataset.layout.count", f"{count} is no number of samples", "set it to 1 or more")
        self.all, self.count = of(split="train", **options), count

    @property
    def labels(self) -> Mapping[str, Any]:
        """Of the whole dataset."""
        return self.all.labels

    def __len__(self) -> int:
        return min(self.count, len(self.all))

    def key(self, index: int) -> str:
        """Of the dataset."""
        return self.all.key(range(len(self))[index])

    def size(self, index: int) -> tuple[int, int]:
        """Height and width, where the dataset knows them."""
        return self.all.size(range(len(self))[index])  # type: ignore[attr-defined]

    def __getitem__(self, index: int) -> Sample:
        """Reads one sample."""
        return self.all[range(len(self))[index]]
