"""Volumes to predict: NIfTI files, folders of them, arrays; masks return to the file's own grid."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from visionkit.config import build
from visionkit.datasets.nifti import Volume, plain_volume, read_volume, write_labels
from visionkit.datasets.nifti_files import SUFFIXES, file_name
from visionkit.datasets.volume_pairs import Grid
from visionkit.errors import DataError
from visionkit.labels import Classes
from visionkit.prediction.items import Item, Opened, files_in, keys_of, split, unique
from visionkit.prediction.outputs import KINDS, Kind, nearest_pixel, shares
from visionkit.types import Sample


class Volumes:
    """Reads volumes as the bundle's training did: on its grid, with its intensities."""

    def __init__(self, preprocessing: Mapping[str, Any]) -> None:
        self.channels = preprocessing["channels"]
        self.grid = Grid(preprocessing.get("spacing_mm"), preprocessing.get("interpolation") or "linear")
        intensity = preprocessing.get("intensity")
        self.intensity = build(intensity) if intensity else None

    def find(self, images: Any) -> list[Item]:
        """As of ``Reader``. Raises DataError: D40 nothing there, D41 no volume in a folder."""
        paths, arrays = split(images)
        files = unique(file for path in paths for file in files_in(path, _is_volume, "volumes", SUFFIXES))
        found = [
            Item(key, str(file), partial(self._open, partial(read_volume, file), str(file)))
            for key, file in zip(keys_of(files, file_name), files, strict=True)
        ]
        for index, array in enumerate(one for item in arrays for one in _one_by_one(item)):
            key = f"volume_{index:04d}"
            found.append(Item(key, "", partial(self._open, partial(_from_array, array, key), key)))
        return found

    def _open(self, read: Any, place: str) -> Opened:
        volume: Volume = read()
        image = torch.from_numpy(volume.array)
        if image.shape[0] != self.channels or not image.numel():
            what = f"has the shape {list(image.shape)} (channels, depth, height, width)"
            raise DataError("D44", place, what, f"give a volume with {self.channels} channel(s)")
        spacing = torch.tensor(volume.spacing_mm, dtype=torch.float64)
        sample = self.grid(Sample(image=image, spacing_mm=spacing))
        given = sample["image"] if self.intensity is None else self.intensity(sample["image"])
        return Opened(image, given, spacing, {**KINDS, "mask": Kind(nearest_pixel, partial(write_mask, like=volume))})


def write_mask(
    mask: Int64[Tensor, "d h w"], labels: Classes, folder: Path, name: str, *, like: Volume
) -> dict[str, Any]:
    """``<name>_mask.nii.gz`` with the affine, shape and orientation of the volume; returns it and the shares."""
    file = f"{name}_mask.nii.gz"
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    write_labels(folder / file, mask.numpy(), like)
    return {"mask": file, "shares": shares(mask, labels)}


def _is_volume(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def _one_by_one(array: Any) -> Iterator[Any]:
    if isinstance(array, Tensor) and array.ndim == 5:
        yield from array
    else:
        yield array


def _from_array(array: Any, key: str) -> Volume:
    """Voxels of 1 mm. DataError: D42 for what is no volume, D43 for values that are not finite."""
    if isinstance(array, Tensor):
        array = array.detach().cpu().numpy()
    if not isinstance(array, np.ndarray) or array.ndim not in (3, 4) or array.dtype.kind not in "iufb":
        what = f"is {type(array).__name__}, which is no volume"
        raise DataError("D42", key, what, "give a path, or numbers in the order (channels,) depth, height, width")
    array = np.ascontiguousarray(array[None] if array.ndim == 3 else array, dtype=np.float32)
    if not np.isfinite(array).all():
        raise DataError("D43", key, "holds NaN or infinite values", "replace them by the value of the background")
    return plain_volume(array, (1.0, 1.0, 1.0))
