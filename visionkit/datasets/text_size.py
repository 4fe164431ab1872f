"""Sizes of text: one height and a free width, or one of a few sizes by the picture's proportions."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from visionkit.datasets.transforms import Resize
from visionkit.errors import ConfigError, DataError
from visionkit.types import Dataset, Sample, Transform

Size = tuple[int, int]
"""Height and width in pixels."""
_MOST = 2**15


@runtime_checkable
class Sizing(Protocol):
    """A transform whose result's size is known from the picture's."""

    def resized(self, size: Sequence[int]) -> Size:
        """Height and width of the result."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample at that size."""


class ToHeight:
    """Brings a line to one height and keeps its proportions; nothing is random.

    Args:
        height: in pixels.
        max_width: a line that would be wider is squeezed to it, so that one very long line cannot ask for all memory.

    Raises ConfigError C187 for sizes that are none.
    """

    def __init__(self, height: int, max_width: int = 4096) -> None:
        _check("height", height)
        _check("max_width", max_width)
        self.height, self.max_width = height, max_width

    def resized(self, size: Sequence[int]) -> Size:
        """Height and width of the result."""
        return self.height, min(self.max_width, max(1, round(size[1] * self.height / size[0])))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c h w to c height w; ``rng`` is not used."""
        return Resize(self.resized(sample["image"].shape[1:]))(sample, rng)


class ToRatio:
    """Stretches a word to the size that belongs to its proportions (Du et al. 2024, SVTRv2, multi-size resizing).

    With r the rounded quotient of width and height: 64 x 64 for r = 1, 48 x 96 for 2, 40 x 112 for 3, and 32 x 32 r
    from 4 on.

    Args:
        max_ratio: wider words are squeezed to this quotient.

    Raises ConfigError C187 for a ratio that is none.
    """

    _SIZES = ((64, 64), (48, 96), (40, 112))

    def __init__(self, max_ratio: int = 12) -> None:
        _check("max_ratio", max_ratio)
        self.max_ratio = max_ratio

    def resized(self, size: Sequence[int]) -> Size:
        """Height and width of the result."""
        ratio = min(max(1, round(size[1] / size[0])), self.max_ratio)
        return self._SIZES[ratio - 1] if ratio <= len(self._SIZES) else (32, 32 * ratio)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c h w to c *size; ``rng`` is not used."""
        return Resize(self.resized(sample["image"].shape[1:]))(sample, rng)


def size_groups(dataset: Dataset, transforms: Sequence[Transform], step_px: int) -> Int64[np.ndarray, "n"]:
    """A number for each sample, the same for pictures that are equally high and, in steps, equally wide.

    Args:
        dataset: offers ``size(index)``, height and width of a picture that need not be read for it.
        transforms: what the pictures pass through; each that is a ``Sizing`` changes the size.
        step_px: of the width.

    A picture whose size cannot be read is in the group of its neighbours; reading it will tell what is wrong.
    Raises ConfigError C188 for a dataset that knows no sizes.
    """
    if not hasattr(dataset, "size"):
        fix = "set it to null"
        raise ConfigError(
            "C188", f"dataset.group_px={step_px}", "this dataset does not know the sizes of pictures", fix
        )
    sizings = [transform for transform in transforms if isinstance(transform, Sizing)]
    sizes = np.zeros((len(dataset), 2), dtype=np.int64)
    for index in range(len(dataset)):
        try:
            size = dataset.size(index)
        except DataError:
            continue
        for sizing in sizings:
            size = sizing.resized(size)
        sizes[index] = size[0], -(-size[1] // step_px)
    return np.unique(sizes, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _check(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
        fix = f"set it to a whole number, 1 to {_MOST}"
        raise ConfigError("C187", f"dataset.prepare, {name}={value}", "is not possible", fix)
