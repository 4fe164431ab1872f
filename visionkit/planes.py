"""The three planes in which a volume is looked at. Volumes are ``d h w``."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from visionkit.layers.resize import nearest_index


@dataclass(frozen=True)
class Plane:
    """Slices across one axis, shown as a person is used to see them.

    Args:
        name: of the plane.
        axis: of the volume, across which it lies.
        turned: axes of the slice that are shown reversed.
    """

    name: str
    axis: int
    turned: tuple[int, ...] = ()

    def cut(
        self, volume: Shaped[np.ndarray, "d h w"], place: int, spacing_mm: Sequence[float]
    ) -> Shaped[np.ndarray, "rows columns"]:
        """The slice at ``place`` with square pixels as fine as the finer of its axes; no value is mixed."""
        flat = np.flip(np.take(volume, place, self.axis), self.turned)
        sides = [mm for axis, mm in enumerate(spacing_mm) if axis != self.axis]
        finest = min(sides)
        lengths = [max(1, round(n * mm / finest)) for n, mm in zip(flat.shape, sides, strict=True)]
        rows, columns = (nearest_index(a, b).numpy() for a, b in zip(flat.shape, lengths, strict=True))
        return flat[rows[:, None], columns]

    def cut_image(
        self, image: Float[Tensor, "c d h w"], place: int, spacing_mm: Sequence[float]
    ) -> Float[Tensor, "c rows columns"]:
        """The same of every channel."""
        return torch.from_numpy(np.stack([self.cut(channel.numpy(), place, spacing_mm) for channel in image]))


PLANES = tuple(Plane(name, axis, (0, 1)) for axis, name in enumerate(("axial", "coronal", "sagittal")))
"""One across each axis of a volume that runs upwards, to the front and to the right: shown as radiologists do, with
the front or the top above, and the patient's right (in the sagittal plane the front) on the left."""


def largest(foreground: Bool[np.ndarray, "d h w"]) -> tuple[int, int, int]:
    """For each axis the slice with most foreground (the middle of several); the middle one where there is none."""
    places = []
    for axis in range(3):
        counts = foreground.sum(tuple(other for other in range(3) if other != axis))
        best = np.flatnonzero(counts == counts.max())
        places.append(int(best[len(best) // 2]))
    return places[0], places[1], places[2]
