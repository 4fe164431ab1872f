"""Where the pictures of a prediction come from: files, folders, arrays; each with a key that names its results."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from visionkit.datasets.images import SUFFIXES, eight_bit, read_image
from visionkit.errors import DataError


@dataclass(frozen=True)
class Picture:
    """A picture that is read when its turn comes."""

    key: str
    """Unique; a relative path without suffix, which names the results."""
    path: str
    read: Callable[[], UInt8[Tensor, "c h w"]]


def pictures(images: Any, channels: int) -> list[Picture]:
    """Every picture in a file, a folder, an array or a list of these, none of them read yet.

    Raises DataError: D40 nothing there, D41 no picture in a folder.
    """
    items = list(images) if isinstance(images, list | tuple) else [images]
    named = [file for item in items if isinstance(item, str | Path) for file in _files(Path(item))]
    files = list({os.path.abspath(file): file for file in named}.values())  # each once
    keys = _keys(files)
    found = [
        Picture(key, str(file), partial(read_image, file, channels)) for key, file in zip(keys, files, strict=True)
    ]
    arrays = (array for item in items if not isinstance(item, str | Path) for array in _arrays(item))
    for index, array in enumerate(arrays):
        key = f"image_{index:04d}"
        found.append(Picture(key, "", partial(_to_tensor, array, key, channels)))
    return found


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError("D40", path, "there is no such file or folder", "check the path")
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise DataError("D41", path, "holds no pictures", f"pictures end in {' '.join(sorted(SUFFIXES))}")
    return files


def _keys(files: Sequence[Path]) -> list[str]:
    """Paths below the folder that all share; with their suffixes where two would else be the same."""
    absolute = [Path(os.path.abspath(file)) for file in files]
    root = os.path.commonpath([file.parent for file in absolute]) if absolute else ""
    relative = [file.relative_to(root) for file in absolute]
    bare = [path.with_suffix("").as_posix() for path in relative]
    return bare if len(set(bare)) == len(bare) else [path.as_posix() for path in relative]


def _arrays(item: Any) -> Iterator[Any]:
    if isinstance(item, Tensor) and item.ndim == 4:
        yield from item
    else:
        yield item


def _to_tensor(array: Any, key: str, channels: int) -> UInt8[Tensor, "c h w"]:
    """Bytes with the channels that the network wants, from grey or colour. DataError D42 to D44 for anything else."""
    if isinstance(array, Image.Image):
        upright = eight_bit(ImageOps.exif_transpose(array), Path(key))
        array = np.array(upright.convert("L" if channels == 1 and upright.mode in ("1", "L", "LA") else "RGB"))
    if isinstance(array, np.ndarray):
        if array.dtype != np.uint8 or array.ndim not in (2, 3):
            what = f"is an array of {array.dtype} with {array.ndim} axes"
            raise DataError("D42", key, what, "give bytes (uint8) in the order height, width, channels")
        array = array[..., None] if array.ndim == 2 else array
        array = torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)
    if not isinstance(array, Tensor) or array.ndim != 3:
        what = f"is {type(array).__name__}, which is no picture"
        raise DataError("D42", key, what, "give a path, a PIL image, a uint8 array (h, w, c) or a tensor (c, h, w)")
    return _with_channels(_to_bytes(array.detach().cpu(), key), key, channels)


def _to_bytes(image: Tensor, key: str) -> Tensor:
    if image.dtype == torch.uint8:
        return image
    if not image.is_floating_point() or not bool(((image >= 0) & (image <= 1)).all()):
        raise DataError("D43", key, f"is a {image.dtype} tensor beyond 0..1", "give bytes, or floats in 0..1")
    return (image * 255).round().to(torch.uint8)


def _with_channels(image: Tensor, key: str, channels: int) -> Tensor:
    have = image.shape[0]
    if have == 3 and channels == 1:
        grey = Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")
        return torch.from_numpy(np.array(grey))[None]
    if have == 1:
        image = image.expand(channels, *image.shape[1:])
    if image.shape[0] != channels or image.numel() == 0:
        what = f"has the shape {list(image.shape)} (channels, height, width)"
        raise DataError("D44", key, what, f"give a picture with {channels} channel(s)")
    return image.contiguous()
