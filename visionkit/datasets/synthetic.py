"""Generated pictures: textured shapes on textured ground, endless and the same on every machine."""

import colorsys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from visionkit.errors import ConfigError, nearest
from visionkit.labels import Classes
from visionkit.seeding import generator
from visionkit.types import Sample

Plane = np.ndarray
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Shape(NamedTuple):
    """A shape of about unit radius: its colour in masks and its signed distance (negative inside)."""

    color: tuple[int, int, int]
    distance: Callable[[Plane, Plane], Plane]


def _disc(x: Plane, y: Plane) -> Plane:
    return np.hypot(x, y) - 0.88


def _square(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.abs(x), np.abs(y)) - 0.76


def _triangle(x: Plane, y: Plane) -> Plane:
    half = np.float32(3**0.5 / 2)
    return np.maximum(np.maximum(half * x + 0.5 * y, 0.5 * y - half * x), -y) - 0.5


def _ring(x: Plane, y: Plane) -> Plane:
    return np.abs(np.hypot(x, y) - 0.72) - 0.22


def _cross(x: Plane, y: Plane) -> Plane:
    x, y = np.abs(x), np.abs(y)
    return np.minimum(np.maximum(x - 0.95, y - 0.32), np.maximum(x - 0.32, y - 0.95))


def _star(x: Plane, y: Plane) -> Plane:
    """Five points: the plane is folded onto one edge, from an outer corner at 1 to an inner one at 0.45."""
    sector = np.float32(np.pi / 5)
    angle = np.abs((np.arctan2(y, x) + sector) % (2 * sector) - sector)
    radius = np.hypot(x, y)
    corner = np.array([0.45 * np.cos(np.pi / 5) - 1, 0.45 * np.sin(np.pi / 5)])
    along = (corner / np.hypot(*corner)).astype(np.float32)
    return (radius * np.cos(angle) - 1) * along[1] - radius * np.sin(angle) * along[0]


SHAPES: Mapping[str, Shape] = {
    "disc": Shape((230, 85, 75), _disc),
    "square": Shape((70, 130, 220), _square),
    "triangle": Shape((90, 180, 95), _triangle),
    "ring": Shape((240, 180, 60), _ring),
    "cross": Shape((160, 95, 205), _cross),
    "star": Shape((60, 190, 195), _star),
}


class Shapes:
    """Shapes of random place, size, turn, colour and texture, some covering others, some pictures empty.

    Colour says nothing about the class, so that a network has to look at the form. Class 0 is background.

    Args:
        split: part of the seed; any name.
        channels: 3 for colour, 1 for grey.
        length: samples, or samples by split.
        size: height and width in pixels (or one number for both).
        max_size: if given, height and width are uniform between ``size`` and this.
        classes: names of SHAPES.
        seed: another seed is another dataset.

    Raises:
        ConfigError: C50 channels, C52 a split without length, C54 no size, C57 unknown shape.
    """

    def __init__(
        self,
        split: str,
        channels: int = 3,
        length: int | Mapping[str, int] = 512,
        size: int | Sequence[int] = 96,
        max_size: int | Sequence[int] | None = None,
        classes: Sequence[str] = ("disc", "square", "triangle", "ring", "cross"),
        seed: int = 0,
    ) -> None:
        if channels not in (1, 3):
            raise ConfigError(
                "C50", "dataset.channels", f"pictures cannot have {channels} channels", "set it to 1 or 3"
            )
        if isinstance(length, Mapping) and split not in length:
            raise ConfigError("C52", "dataset.layout.length", f"no length for {split!r}", nearest(split, length))
        for name in classes:
            if name not in SHAPES:
                raise ConfigError("C57", "dataset.layout.classes", f"no shape {name!r}", nearest(name, SHAPES))
        self.split, self.channels, self.seed = split, channels, seed
        self.length = length[split] if isinstance(length, Mapping) else length
        self.sizes = (_size(size), _size(size if max_size is None else max_size))
        self.shapes = [SHAPES[name] for name in classes]
        colors = ((0, 0, 0), *(shape.color for shape in self.shapes))
        self.labels: Mapping[str, Any] = {"mask": Classes(("background", *classes), colors)}

    def __len__(self) -> int:
        return self.length

    def key(self, index: int) -> str:
        """Split and number."""
        return f"{self.split}_{range(self.length)[index]:06d}"

    def __getitem__(self, index: int) -> Sample:
        """Draws one sample: image uint8 c h w, mask int64 h w, valid bool h w."""
        key = self.key(index)
        rng = generator(self.seed, "shapes", key)
        lowest, highest = self.sizes
        height, width = (int(rng.integers(low, high + 1)) for low, high in zip(lowest, highest, strict=True))
        picture, mask = draw(rng, height, width, self.shapes)
        return {
            "key": key,
            "path": "",
            "image": self._image(picture),
            "valid": torch.ones(height, width, dtype=torch.bool),
            "mask": torch.from_numpy(mask),
        }

    def _image(self, picture: np.ndarray) -> Tensor:
        if self.channels == 1:
            picture = (picture @ _LUMA)[..., None]
        return torch.from_numpy((picture * 255 + 0.5).astype(np.uint8)).permute(2, 0, 1)


def draw(
    rng: np.random.Generator, height: int, width: int, shapes: Sequence[Shape], instances: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """A picture (float32 h w 3 in 0..1) and its mask (int64 h w: 0, or 1 + index in ``shapes``).

    With ``instances`` the mask holds 0 or 1 + the number of the shape in the order of drawing.
    """
    picture = _ground(rng, height, width)
    mask = np.zeros((height, width), dtype=np.int64)
    # One picture in twenty is empty: a network must be able to find nothing.
    count = 0 if not shapes or rng.random() < 0.05 else int(rng.integers(2, 7))
    for number in range(count):
        index = int(rng.integers(len(shapes)))
        _place(rng, picture, mask, shapes[index], 1 + (number if instances else index))
    picture += rng.standard_normal((height, width, 1), dtype=np.float32) * np.float32(0.015)
    return picture.clip(0, 1), mask


def _ground(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.ogrid[0:height, 0:width]
    y, x = (y / np.float32(height)).astype(np.float32), (x / np.float32(width)).astype(np.float32)
    hue, value = rng.random(), rng.uniform(0.35, 0.85)
    near = _color(hue, rng.uniform(0.1, 0.4), value)
    far = _color(hue + rng.uniform(-0.15, 0.15), rng.uniform(0.1, 0.5), value * rng.uniform(0.55, 1.15))
    slope = rng.uniform(-1, 1, 2).astype(np.float32)
    tone = 0.5 + 0.5 * (slope[0] * (x - 0.5) + slope[1] * (y - 0.5))
    tone = tone + np.float32(rng.uniform(0.1, 0.3)) * _texture(rng, x, y)
    return near + (far - near) * tone[..., None]


def _place(rng: np.random.Generator, picture: np.ndarray, mask: np.ndarray, shape: Shape, label: int) -> None:
    """Draws one shape with its shadow, its texture and a dark rim; all inside a window around it."""
    height, width = mask.shape
    radius = rng.uniform(0.11, 0.26) * min(height, width)
    center_y, center_x = rng.uniform(0, height), rng.uniform(0, width)
    reach = radius * 1.35 + 2
    rows = slice(max(0, int(center_y - reach)), min(height, int(center_y + reach) + 1))
    columns = slice(max(0, int(center_x - reach)), min(width, int(center_x + reach) + 1))
    y = ((np.arange(rows.start, rows.stop) - center_y) / radius).astype(np.float32)[:, None]
    x = ((np.arange(columns.start, columns.stop) - center_x) / radius).astype(np.float32)[None]
    angle, scale = rng.uniform(0, 2 * np.pi), np.float32(radius)
    distance = _turned(shape, x, y, angle) * scale
    light = np.float32(0.12)
    shadow = (_turned(shape, x - light, y - light, angle) * scale / (0.12 * scale + 1)).clip(-1, 1)
    hue, saturation = rng.random(), rng.uniform(0.45, 0.95)
    color = _color(hue, saturation, rng.uniform(0.6, 1.0))
    other = _color(hue + rng.uniform(-0.12, 0.12), saturation, rng.uniform(0.45, 1.0))
    tone = 0.5 + np.float32(rng.uniform(0.1, 0.5)) * _texture(rng, x / 3, y / 3)
    rim = (1.2 - np.abs(distance + 0.7)).clip(0, 0.55)
    paint = (color + (other - color) * tone[..., None]) * (1 - rim)[..., None]
    window = picture[rows, columns]
    window *= (0.825 + 0.175 * shadow)[..., None]
    window += (paint - window) * (0.5 - distance).clip(0, 1)[..., None]
    mask[rows, columns][distance < 0] = label


def _turned(shape: Shape, x: Plane, y: Plane, angle: float) -> Plane:
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return shape.distance(cosine * x + sine * y, cosine * y - sine * x)


def _texture(rng: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Stripes, checks or waves in -1..1 over coordinates of about unit range."""
    angle, turn = rng.uniform(0, np.pi), rng.uniform(0.3, np.pi - 0.3)
    waves = []
    for direction in (angle, angle + turn):
        frequency = 2 * np.pi * rng.uniform(2.5, 8)
        across = (frequency * np.cos(direction)).astype(np.float32) * x
        down = (frequency * np.sin(direction)).astype(np.float32) * y
        waves.append(np.sin(across + down + np.float32(rng.uniform(0, 2 * np.pi))))
    kinds = (lambda a, b: a, lambda a, b: a * b, lambda a, b: 0.5 * (a + b))
    return kinds[int(rng.integers(len(kinds)))](*waves)


def _color(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, min(value, 1)), dtype=np.float32)


def _size(size: int | Sequence[int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ConfigError("C54", "dataset.layout.size", f"{size} is no size", "write [height, width] in pixels")
    return height, width
