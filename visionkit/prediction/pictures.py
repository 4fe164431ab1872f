"""Where the pictures of a prediction come from: files, folders, arrays; each with a key that names its results."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from visionkit.config import build
from visionkit.datasets.images import SUFFIXES, eight_bit, read_image
from visionkit.datasets.transforms import Resize
from visionkit.errors import DataError
from visionkit.prediction.items import Item, Opened, files_in, keys_of, split, unique
from visionkit.types import Sample, Transform


class Pictures:
    """Reads pictures as the bundle's training did: with its channels, resized as it says."""

    def __init__(self, preprocessing: Mapping[str, Any]) -> None:
        self.channels = preprocessing["channels"]
        self.prepare: list[Transform] = [Resize(preprocessing["size"])] if preprocessing["size"] else []
        self.prepare += [build(transform) for transform in preprocessing.get("prepare") or []]

    def find(self, images: Any) -> list[Item]:
        """As of ``Reader``. Raises DataError: D40 nothing there, D41 no picture in a folder."""
        paths, arrays = split(images)
        files = unique(file for path in paths for file in files_in(path, _is_picture, "pictures", SUFFIXES))
        found = [
            Item(key, str(file), partial(self._open, partial(read_image, file, self.channels)))
            for key, file in zip(keys_of(files, lambda path: path.stem), files, strict=True)
        ]
        for index, array in enumerate(one for item in arrays for one in _arrays(item)):
            key = f"image_{index:04d}"
            found.append(Item(key, "", partial(self._open, partial(_to_tensor, array, key, self.channels))))
        return found

    def _open(self, read: Callable[[], UInt8[Tensor, "c h w"]]) -> Opened:
        image = read()
        sample = Sample(image=image)
        for transform in self.prepare:
            sample = transform(sample, np.random.default_rng(0))
        return Opened(image, sample["image"])


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


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
