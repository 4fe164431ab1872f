"""Datasets of a picture and a mask (or another target) for each sample, the two in files of their own."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from visionkit.datasets.findings import Finding
from visionkit.datasets.images import read_image
from visionkit.errors import DataError
from visionkit.types import Sample

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pair:
    """Files of one sample; ``fault`` says why they are none, and is raised when the sample is read."""

    key: str
    image: Path
    mask: Path | None = None
    fault: DataError | None = None


class Pairs:
    """Reads listed pairs. Faults of the listing are raised sample by sample, so that a check sees them all.

    Args:
        pairs: with keys that differ.
        labels: what is to be known of the target, such as the classes of masks.
        read_mask: path to the target, such as MaskReader; the last two axes of maps are those of the picture.
        channels: 1 or 3.
        doubts: what the listing found strange without losing a sample.
        target: its key in a sample.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        labels: Any,
        read_mask: Callable[[Path], Tensor],
        channels: int = 3,
        doubts: Iterable[Finding] = (),
        target: Literal["mask", "edges", "points"] = "mask",
    ) -> None:
        self.labels: dict[str, Any] = {target: labels}
        self.channels, self.target = channels, target
        self._pairs, self._read_mask, self._doubts = tuple(pairs), read_mask, tuple(doubts)

    def __len__(self) -> int:
        return len(self._pairs)

    def key(self, index: int) -> str:
        """Name of the picture without its ending."""
        return self._pairs[index].key

    def __getitem__(self, index: int) -> Sample:
        """Reads one sample: image uint8 c h w, the target, valid bool h w. Raises DataError."""
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
                raise self._missing(pair)
            sample[self.target] = self._read_mask(pair.mask)
        except DataError as error:
            errors.append(error)
        return sample, errors or self._misfits(pair, sample)

    def problems(self) -> list[Finding]:
        """What the listing found strange without losing a sample."""
        return list(self._doubts)

    def _missing(self, pair: Pair) -> DataError:
        return DataError("D24", pair.image, f"has no {self.target}", "add the file or take the picture out")

    def _misfits(self, pair: Pair, sample: Sample) -> list[DataError]:
        """What is wrong with a picture and a target that can each be read."""
        size, image_size = sample[self.target].shape[-2:], sample["valid"].shape
        return [] if size == image_size else [_wrong_size(pair, size, image_size)]


def _wrong_size(pair: Pair, size: Sequence[int], image_size: Sequence[int]) -> DataError:
    (height, width), (image_height, image_width) = size, image_size
    what = f"the mask is {width} x {height} pixels, its picture {pair.image} is {image_width} x {image_height}"
    turned = (height, width) == (image_width, image_height)
    fix = "turn it as the picture's EXIF orientation says" if turned else "make it of the picture's size"
    return DataError("D25", pair.mask or "", what, fix)
