"""Generated crowds: heads on shoulders in perspective, endless and the same on every machine."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from visionkit.datasets.synthetic import Shapes, draw
from visionkit.labels import Objects
from visionkit.seeding import generator
from visionkit.types import Sample

_EMPTY = 0.05
_LONELY = 0.3


class Crowds(Shapes):
    """People who get smaller towards the top, partly in groups, in front of textured ground; some pictures are empty.

    Args:
        split: part of the seed; any name.
        channels, length, size: as of ``Shapes``.
        most: people in a picture, at most.
        head_px: diameter of a head at the top and at the bottom of the picture.
        seed: another seed is another dataset.

    Raises ConfigError: C50 channels, C52 a split without length, C54 no size.
    """

    def __init__(
        self,
        split: str,
        channels: int = 3,
        length: int | Mapping[str, int] = 512,
        size: int | Sequence[int] = 128,
        most: int = 60,
        head_px: Sequence[float] = (4.0, 10.0),
        seed: int = 0,
    ) -> None:
        super().__init__(split, channels, length, size, classes=(), seed=seed)
        self.most, self.head_px = most, (float(head_px[0]), float(head_px[1]))
        self.labels = {"points": Objects()}

    def __getitem__(self, index: int) -> Sample:
        """Draws one sample: image uint8 c h w, points float32 n 2, valid bool h w."""
        key = self.key(index)
        rng = generator(self.seed, "crowds", key)
        height, width = self.sizes[0]
        picture, _ = draw(rng, height, width, ())
        points = _places(rng, (height, width), self.most)
        for x, y in points[points[:, 1].argsort()]:  # who is nearer hides who is farther
            far, near = self.head_px
            _person(rng, picture, x, y, far + (near - far) * y / height)
        return {
            "key": key,
            "path": "",
            "image": self._image(picture.clip(0, 1)),
            "points": torch.from_numpy(points.astype(np.float32)),
            "valid": torch.ones(height, width, dtype=torch.bool),
        }


def _places(rng: np.random.Generator, size: Sequence[int], most: int) -> np.ndarray:
    """Middles of the heads, n x 2: some alone, the others in groups."""
    count = 0 if rng.random() < _EMPTY or most < 1 else int(rng.integers(1, most + 1))
    extent = np.array(size[::-1], dtype=np.float64)
    centers = rng.random((max(1, count // 12), 2))
    grouped = centers[rng.integers(len(centers), size=count)] + rng.normal(0, 0.12, (count, 2))
    places = np.where(rng.random((count, 1)) < _LONELY, rng.random((count, 2)), grouped)
    return np.abs(1 - np.abs(1 - places) % 2) * extent  # mirrored at the borders


def _person(rng: np.random.Generator, picture: np.ndarray, x: float, y: float, head_px: float) -> None:
    """Shoulders in any colour below a head with hair and a bright face."""
    radius = head_px / 2
    clothes, skin = rng.uniform(0.05, 0.95, 3), rng.uniform(0.35, 0.9) * np.array([1.0, 0.82, 0.7])
    hair = rng.uniform(0.02, 0.35) * np.array([1.0, 0.85, 0.7])
    _ellipse(picture, x, y + 2.2 * radius, 1.7 * radius, 1.5 * radius, clothes)
    _ellipse(picture, x, y, radius, 1.1 * radius, hair)
    _ellipse(picture, x + rng.uniform(-0.2, 0.2) * radius, y + 0.3 * radius, 0.7 * radius, 0.75 * radius, skin)


def _ellipse(picture: np.ndarray, x: float, y: float, across: float, down: float, color: np.ndarray) -> None:
    height, width = picture.shape[:2]
    top, bottom = max(0, int(y - down - 1)), min(height, int(y + down + 2))
    left, right = max(0, int(x - across - 1)), min(width, int(x + across + 2))
    if top >= bottom or left >= right:
        return
    rows, columns = np.ogrid[top:bottom, left:right]
    distance = np.hypot((columns + 0.5 - x) / across, (rows + 0.5 - y) / down)
    cover = ((1 - distance) * min(across, down) + 0.5).clip(0, 1)[..., None].astype(np.float32)
    part = picture[top:bottom, left:right]
    part += (color.astype(np.float32) - part) * cover
