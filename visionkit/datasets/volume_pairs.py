"""Datasets of a volume and a mask for each sample, the two in files of their own (or two arrays of one file)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from visionkit.datasets import nifti
from visionkit.datasets.findings import Finding
from visionkit.datasets.nifti import Volume
from visionkit.datasets.pairs import Pair
from visionkit.datasets.spacing import parse_spacing, resample_image, resample_labels, resampled_shape
from visionkit.errors import ConfigError, DataError
from visionkit.labels import Classes
from visionkit.types import IGNORE_INDEX, Sample

_ORDERS = {"linear": 1, "cubic": 3}
_APART = 0.1
"""How far the same corner may lie in image and mask, in voxels: headers are rounded."""


@dataclass(frozen=True)
class Grid:
    """The grid that samples are brought to.

    Args:
        spacing_mm: along d, h, w; None leaves every volume on its own grid.
        interpolation: of the image; masks always take the nearest voxel.

    Raises ConfigError C59 for a spacing that is none, C51 for an unknown interpolation.
    """

    spacing_mm: Sequence[float] | None = None
    interpolation: Literal["linear", "cubic"] = "linear"

    def __post_init__(self) -> None:
        parse_spacing(self.spacing_mm, "dataset.layout.spacing_mm")
        if self.interpolation not in _ORDERS:
            what = f"unknown interpolation {self.interpolation!r}"
            raise ConfigError("C51", "dataset.layout.interpolation", what, "choose from linear, cubic")

    def __call__(self, sample: Sample) -> Sample:
        """Image, mask and spacing_mm of a sample on the grid."""
        target = parse_spacing(self.spacing_mm, "")
        if target is None:
            return sample
        old = sample["spacing_mm"].tolist()
        shape = resampled_shape(sample["image"].shape[1:], old, target)
        image = resample_image(sample["image"].numpy(), shape, _ORDERS[self.interpolation])
        sample = {**sample, "image": torch.from_numpy(np.ascontiguousarray(image))}
        if "mask" in sample:
            sample["mask"] = torch.from_numpy(resample_labels(sample["mask"].numpy(), shape))
        sample["spacing_mm"] = torch.tensor(target, dtype=torch.float64)
        return sample


class VolumePairs:
    """Reads listed pairs. Faults of the listing are raised sample by sample, so that a check sees them all.

    Args:
        pairs: with keys that differ.
        classes: of the masks.
        channels: that every volume must have.
        grid: that samples are brought to.
        ignore_index: value of a mask that means unknown, or None.
        read_image, read_labels: path to volume.
        doubts: what the listing found strange without losing a sample.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        classes: Classes,
        channels: int = 1,
        grid: Grid | None = None,
        ignore_index: int | None = None,
        read_image: Callable[[Path], Volume] = nifti.read_volume,
        read_labels: Callable[[Path], Volume] = nifti.read_labels,
        doubts: Iterable[Finding] = (),
    ) -> None:
        self.labels = {"mask": classes}
        self.channels, self.grid, self.ignore_index = channels, grid or Grid(), ignore_index
        self._read_image, self._read_labels = read_image, read_labels
        self._pairs, self._doubts = tuple(pairs), tuple(doubts)

    def __len__(self) -> int:
        return len(self._pairs)

    def key(self, index: int) -> str:
        """Name of the volume without its ending."""
        return self._pairs[index].key

    def __getitem__(self, index: int) -> Sample:
        """Reads one sample: image float32 c d h w, mask int64 d h w, valid bool d h w, spacing_mm. Raises DataError."""
        sample, errors = self.examine(index)
        if errors:
            raise errors[0]
        return sample

    def examine(self, index: int) -> tuple[Sample, list[DataError]]:
        """What can be read of a sample, and every fault of its files."""
        pair = self._pairs[index]
        sample: Sample = {"key": pair.key, "path": str(pair.image)}
        if pair.fault is not None:
            return sample, [pair.fault]
        errors: list[DataError] = []
        volumes: dict[str, Volume] = {}
        for name, read in (("image", self._image), ("mask", self._mask)):
            try:
                volumes[name] = read(pair)
            except DataError as error:
                errors.append(error)
        if not errors:
            errors += disagreement(volumes["image"], volumes["mask"], pair)
        return (sample, errors) if errors else (self._sample(sample, **volumes), [])

    def problems(self) -> list[Finding]:
        """What the listing found strange without losing a sample."""
        return list(self._doubts)

    def _image(self, pair: Pair) -> Volume:
        volume = self._read_image(pair.image)
        if volume.array.shape[0] != self.channels:
            what = f"has {volume.array.shape[0]} channels, not {self.channels}"
            raise DataError("D62", pair.image, what, "set dataset.channels, or take the volume out")
        return volume

    def _mask(self, pair: Pair) -> Volume:
        if pair.mask is None:
            raise DataError("D24", pair.image, "has no mask", "add the mask or take the volume out")
        volume = self._read_labels(pair.mask)
        if self.ignore_index is not None:
            volume.array[volume.array == self.ignore_index] = IGNORE_INDEX
        check_labels(volume.array, len(self.labels["mask"]), self.ignore_index, pair.mask)
        return volume

    def _sample(self, sample: Sample, image: Volume, mask: Volume) -> Sample:
        sample["image"] = torch.from_numpy(image.array)
        sample["mask"] = torch.from_numpy(mask.array)
        sample["spacing_mm"] = torch.tensor(image.spacing_mm, dtype=torch.float64)
        sample = self.grid(sample)
        sample["valid"] = torch.ones(sample["image"].shape[1:], dtype=torch.bool)
        return sample


def check_labels(labels: np.ndarray, count: int, ignore_index: int | None, path: Path) -> None:
    """Raises DataError D59 where a label (IGNORE_INDEX apart) is none of ``0 .. count - 1``."""
    lowest = 0 if ignore_index is None else IGNORE_INDEX
    wrong = (labels >= count) | (labels < lowest)
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0].tolist())
        also = "" if ignore_index is None else f" and {ignore_index} for unknown"
        what = (
            f"holds the label {labels[place]} (first at {', '.join(map(str, place))} from bottom, back, left; "
            f"{int(wrong.sum())} voxels are no class); the classes are 0..{count - 1}{also}"
        )
        raise DataError("D59", path, what, "correct the mask or the list of classes")


def disagreement(image: Volume, mask: Volume, pair: Pair) -> list[DataError]:
    """D60 where the shapes of image and mask differ, D61 where their corners lie apart (both in RAS orientation)."""
    path, shapes = pair.mask or pair.image, (mask.array.shape, image.array.shape[1:])
    if shapes[0] != shapes[1]:
        of_mask, of_image = (" x ".join(map(str, shape[::-1])) for shape in shapes)
        what = f"the mask is {of_mask} voxels, its volume {pair.image} is {of_image}"
        return [DataError("D60", path, what, "resample it to the volume's grid by the nearest voxel")]
    reach = [(0, length - 1) for length in shapes[0][::-1]]
    corners = np.array([(*corner, 1) for corner in product(*reach)]).T
    apart = np.linalg.norm(((mask.ras_affine - image.ras_affine) @ corners)[:3], axis=0).max()
    voxel = np.linalg.norm(image.ras_affine[:3, :3], axis=0).min()
    if apart <= _APART * voxel:
        return []
    of_mask, of_image = (_rows(volume.affine) for volume in (mask, image))
    what = f"the mask lies up to {apart:.3g} mm beside its volume {pair.image} (affine {of_mask}, not {of_image})"
    return [DataError("D61", path, what, "give it the volume's affine, or resample it to the volume's grid")]


def _rows(affine: np.ndarray) -> str:
    return str([[float(f"{value:.6g}") for value in row] for row in affine[:3].tolist()])
