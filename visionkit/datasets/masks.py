"""Masks from the disk: class indices, palettes and colours become one int64 map."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from PIL import Image
from torch import Tensor

from visionkit.datasets.images import load
from visionkit.errors import ConfigError, DataError
from visionkit.types import IGNORE_INDEX

Color = tuple[int, int, int]
Coding = Literal["auto", "grey", "index", "color"]

_CODINGS = ("auto", "grey", "index", "color")
_USUAL = 255
_USE_PNG = "save it as a PNG of class indices"
_GIVE_COLORS = (
    "give every class its colour in classes.yaml (- {name: road, color: [128, 64, 128]}) "
    "or save it as an 8-bit grey PNG of class indices"
)


class ColorMap:
    """Colours of a mask to values, by binary search on packed 24-bit integers.

    Args:
        values: for each colour (red, green, blue in 0..255) the value that it stands for.
    """

    def __init__(self, values: Mapping[Color, int]) -> None:
        packed = np.array([_pack(color) for color in values], dtype=np.uint32)
        order = np.argsort(packed)
        self._packed = packed[order]
        self._values = np.array(list(values.values()), dtype=np.int64)[order]

    def __len__(self) -> int:
        return len(self._packed)

    def __call__(self, packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (int64) of packed colours of any shape, and where (bool) the colour is known."""
        place = np.searchsorted(self._packed, packed)
        np.minimum(place, len(self) - 1, out=place)
        return self._values[place], self._packed[place] == packed


def read_index_mask(path: str | Path, colors: ColorMap | None = None, coding: Coding = "auto") -> Int64[Tensor, "h w"]:
    """Reads the values of a mask: 1, 8 or 16-bit indices, palette indices, or colours through a map.

    ``coding="auto"`` takes grey as indices and RGB as colours. A palette mask means its indices, unless all
    palette colours in use are known to ``colors``: then it means those (tools reorder palettes). EXIF
    rotation is applied, transparency is dropped. ``grey`` takes no palettes at all: for datasets that have none.

    Raises:
        DataError: as ``read_image``; D18 a lossy format, D27 unknown colour, D28 colours without a map.
    """
    path = Path(path)
    image = load(path)
    if image.format in ("JPEG", "MPO"):
        raise DataError("D18", path, "is a JPEG, which changes the class values of a mask", _USE_PNG)
    if image.mode == "F":
        raise DataError("D17", path, "has floating-point pixels, which are no class indices", _USE_PNG)
    mode = image.mode.removesuffix("A")
    indexed = mode in ("1", "L", "P") or mode.startswith("I")
    if mode == "P" and coding == "grey":
        what = "is a palette picture, whose indices can be in any order"
        raise DataError("D28", path, what, "save it as an 8-bit grey PNG of class indices")
    if coding == "color" or not indexed:
        return torch.from_numpy(_from_colors(image, colors, path))
    values = np.asarray(image)
    values = (values[..., 0] if values.ndim == 3 else values).astype(np.int64)
    if mode == "P" and coding == "auto" and colors is not None:
        values = _from_palette(image, values, colors, path)
    return torch.from_numpy(values)


class MaskReader:
    """Reads a mask as class indices, IGNORE_INDEX where unknown.

    Args:
        count: number of classes; valid values are ``0 .. count - 1``.
        ignore_index: value that means unknown, or None; a listed class can be named on purpose (0 for "unlabelled").
        colors: colours of the classes in their order, for masks that are pictures of colours.
        ignore_colors: colours that mean unknown.
        coding: see ``read_index_mask``.

    Raises ConfigError: C51 unknown coding, C58 the usual 255 where it is a class.
    """

    def __init__(
        self,
        count: int,
        ignore_index: int | None = None,
        colors: tuple[Color, ...] = (),
        ignore_colors: tuple[Color, ...] = (),
        coding: Coding = "auto",
    ) -> None:
        if coding not in _CODINGS:
            choices = f"choose from {', '.join(_CODINGS)}"
            raise ConfigError("C51", "dataset.layout.coding", f"unknown coding {coding!r}", choices)
        if ignore_index == _USUAL < count:  # nobody chose it: it is the default of datasets
            what = f"is also one of the classes 0..{count - 1}"
            fix = f"set it to null, or to the value of {count} or more that means unknown in your masks"
            raise ConfigError("C58", f"dataset.layout.ignore_index={ignore_index}", what, fix)
        values = {color: index for index, color in enumerate(colors)}
        values.update(dict.fromkeys(ignore_colors, IGNORE_INDEX))
        self.count, self.ignore_index, self.coding = count, ignore_index, coding
        self.colors = ColorMap(values) if colors else None

    def __call__(self, path: Path) -> Int64[Tensor, "h w"]:
        """Raises as ``read_index_mask``, and D26 for a value that is no class."""
        mask = read_index_mask(path, self.colors, self.coding)
        if self.ignore_index is not None:
            mask[mask == self.ignore_index] = IGNORE_INDEX
        if mask.numel() and (mask.max() >= self.count or mask.min() < IGNORE_INDEX):
            raise self._out_of_range(path, mask)
        return mask

    def _out_of_range(self, path: Path, mask: Tensor) -> DataError:
        wrong = (mask >= self.count) | (mask < IGNORE_INDEX)
        row, column = wrong.nonzero()[0].tolist()
        also = "" if self.ignore_index is None else f" and {self.ignore_index} for unknown"
        what = (
            f"holds the value {int(mask[row, column])} (first at row {row}, column {column}; "
            f"{int(wrong.sum())} pixels are no class); the classes are 0..{self.count - 1}{also}"
        )
        return DataError("D26", path, what, "correct the mask or the list of classes")


def _pack(color: Color) -> int:
    red, green, blue = color
    return red | green << 8 | blue << 16


def _from_colors(image: Image.Image, colors: ColorMap | None, path: Path) -> np.ndarray:
    if colors is None:
        raise DataError("D28", path, f"holds colours ({image.mode}), not class indices", _GIVE_COLORS)
    rgbx = np.asarray(image.convert("RGB").convert("RGBX"))
    packed = rgbx.view("<u4")[..., 0] & 0xFFFFFF
    values, known = colors(packed)
    if not known.all():
        raise _unknown_color(path, packed[~known])
    return values


def _from_palette(image: Image.Image, indices: np.ndarray, colors: ColorMap, path: Path) -> np.ndarray:
    palette = np.array(image.getpalette("RGB") or [], dtype=np.uint32).reshape(-1, 3)
    used = np.unique(indices)
    if not len(used) or used[-1] >= len(palette):
        return indices
    packed = palette @ np.array([1, 1 << 8, 1 << 16], dtype=np.uint32)
    values, known = colors(packed[used])
    if known.all():
        table = np.zeros(len(palette), dtype=np.int64)
        table[used] = values
        return table[indices]
    # Some palettes are only for show; one that contradicts the indices is not.
    if (known & (values != used) & (values != IGNORE_INDEX)).any():
        raise _unknown_color(path, packed[indices][np.isin(indices, used[~known])])
    return indices


def _unknown_color(path: Path, packed: np.ndarray) -> DataError:
    colors, counts = np.unique(packed, return_counts=True)
    first = int(colors[counts.argmax()])
    color = f"[{first & 255}, {first >> 8 & 255}, {first >> 16}]"
    others = f" and {len(colors) - 1} more colours" if len(colors) > 1 else ""
    what = f"colour {color} is no class ({int(counts.max())} pixels{others}; {packed.size} pixels in all)"
    return DataError("D27", path, what, "give it a class in classes.yaml, or name it in dataset.layout.ignore_colors")
