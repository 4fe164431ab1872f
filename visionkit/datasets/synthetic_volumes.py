"""Generated volumes: bodies on uneven ground, endless and the same on every machine."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64

from visionkit.datasets.spacing import parse_spacing
from visionkit.errors import ConfigError, nearest
from visionkit.labels import Classes
from visionkit.seeding import generator
from visionkit.types import Sample

Points = Float32[np.ndarray, "3 d h w"]


class Body(NamedTuple):
    """A body of about unit radius: its colour in drawings and which points (3 d h w) are inside."""

    color: tuple[int, int, int]
    inside: Callable[[Points], np.ndarray]


def _ellipsoid(p: Points) -> np.ndarray:
    return p[0] ** 2 + (p[1] / 0.8) ** 2 + (p[2] / 0.65) ** 2 < 1


def _box(p: Points) -> np.ndarray:
    return np.abs(p).max(0) < 0.65


def _tube(p: Points) -> np.ndarray:
    return (np.abs(p[0]) < 1) & (np.hypot(p[1], p[2]) < 0.4)


def _ring(p: Points) -> np.ndarray:
    return (np.hypot(p[1], p[2]) - 0.75) ** 2 + p[0] ** 2 < 0.25**2


BODIES: Mapping[str, Body] = {
    "ellipsoid": Body((230, 159, 0), _ellipsoid),
    "box": Body((86, 180, 233), _box),
    "tube": Body((0, 158, 115), _tube),
    "ring": Body((204, 121, 167), _ring),
}


class Bodies:
    """Bodies of random place, size, turn and brightness, some covering others, some volumes empty.

    Brightness says nothing about the class, so that a network has to look at the form. Class 0 is background.

    Args:
        split: part of the seed; any name.
        channels: of the image, all with the same bodies.
        length: samples, or samples by split.
        size: voxels along d, h, w.
        max_size: if given, each length is uniform between ``size`` and this.
        spacing_mm: along d, h, w: forms are true in millimetres.
        classes: names of BODIES.
        seed: another seed is another dataset.

    Raises:
        ConfigError: C50 channels, C52 a split without length, C54 no size, C57 unknown body, C59 no spacing.
    """

    def __init__(
        self,
        split: str,
        channels: int = 1,
        length: int | Mapping[str, int] = 64,
        size: Sequence[int] = (24, 48, 48),
        max_size: Sequence[int] | None = None,
        spacing_mm: Sequence[float] = (2.0, 1.0, 1.0),
        classes: Sequence[str] = ("ellipsoid", "box", "tube"),
        seed: int = 0,
    ) -> None:
        if channels < 1:
            raise ConfigError("C50", "dataset.channels", f"volumes cannot have {channels} channels", "set it to 1")
        if isinstance(length, Mapping) and split not in length:
            raise ConfigError("C52", "dataset.layout.length", f"no length for {split!r}", nearest(split, length))
        for name in classes:
            if name not in BODIES:
                raise ConfigError("C57", "dataset.layout.classes", f"no body {name!r}", nearest(name, BODIES))
        self.split, self.channels, self.seed = split, channels, seed
        self.length = length[split] if isinstance(length, Mapping) else length
        self.sizes = (_size(size), _size(size if max_size is None else max_size))
        self.spacing_mm = parse_spacing(spacing_mm, "dataset.layout.spacing_mm") or (1.0, 1.0, 1.0)
        self.bodies = [BODIES[name] for name in classes]
        colors = ((0, 0, 0), *(body.color for body in self.bodies))
        self.labels = {"mask": Classes(("background", *classes), colors)}

    def __len__(self) -> int:
        return self.length

    def key(self, index: int) -> str:
        """Split and number."""
        return f"{self.split}_{range(self.length)[index]:06d}"

    def __getitem__(self, index: int) -> Sample:
        """Draws one sample: image float32 c d h w, mask int64 d h w, valid bool d h w, spacing_mm."""
        key = self.key(index)
        rng = generator(self.seed, "bodies", key)
        size = [int(rng.integers(low, high + 1)) for low, high in zip(*self.sizes, strict=True)]
        image, mask = draw(rng, size, self.spacing_mm, self.bodies)
        noise = rng.standard_normal((self.channels, *size), dtype=np.float32) * np.float32(0.1)
        return {
            "key": key,
            "path": "",
            "image": torch.from_numpy(image + noise),
            "valid": torch.ones(size, dtype=torch.bool),
            "mask": torch.from_numpy(mask),
            "spacing_mm": torch.tensor(self.spacing_mm, dtype=torch.float64),
        }


def draw(
    rng: np.random.Generator, size: Sequence[int], spacing_mm: Sequence[float], bodies: Sequence[Body]
) -> tuple[Float32[np.ndarray, "d h w"], Int64[np.ndarray, "d h w"]]:
    """Brightness of about unit range, and the mask: 0, or 1 + index in ``bodies``."""
    axes = [(np.arange(n) * mm).astype(np.float32) for n, mm in zip(size, spacing_mm, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    extent = np.array([max(n * mm, mm) for n, mm in zip(size, spacing_mm, strict=True)], dtype=np.float32)
    slope = rng.uniform(-0.3, 0.3, 3).astype(np.float32) / extent
    image = np.einsum("a,adhw->dhw", slope, points)
    mask = np.zeros(tuple(size), dtype=np.int64)
    # One volume in twenty is empty: a network must be able to find nothing.
    count = 0 if not bodies or rng.random() < 0.05 else int(rng.integers(2, 6))
    for _ in range(count):
        index = int(rng.integers(len(bodies)))
        radius = np.float32(rng.uniform(0.18, 0.32) * extent.min())
        center = (rng.uniform(0.15, 0.85, 3) * extent).astype(np.float32)
        local = (points - center[:, None, None, None]) / radius
        inside = bodies[index].inside(np.einsum("ab,bdhw->adhw", _rotation(rng), local))
        image[inside] = np.float32(rng.choice((-1, 1)) * rng.uniform(0.6, 1.2))
        mask[inside] = index + 1
    return image, mask


def _rotation(rng: np.random.Generator) -> Float32[np.ndarray, "3 3"]:
    """A rotation, uniform over all up to reflections, which change no body."""
    orthogonal, upper = np.linalg.qr(rng.standard_normal((3, 3)))
    return (orthogonal * np.sign(np.diag(upper))).astype(np.float32)


def _size(size: Sequence[int]) -> tuple[int, int, int]:
    if isinstance(size, int) or len(size) != 3 or min(size) < 1:
        raise ConfigError("C54", "dataset.layout.size", f"{size} is no size", "write [depth, height, width] in voxels")
    return size[0], size[1], size[2]
