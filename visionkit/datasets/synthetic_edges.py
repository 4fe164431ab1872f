"""Generated pictures with the outlines of their shapes, drawn by several annotators who do not quite agree."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from visionkit.datasets.synthetic import Shapes, draw
from visionkit.drawing import boundaries
from visionkit.labels import Edges
from visionkit.seeding import generator
from visionkit.types import Sample

_FORGOTTEN = 0.15


class ShapeEdges(Shapes):
    """The shapes of ``synthetic.Shapes`` with their visible outlines, also where two of a kind touch.

    Each annotator forgets some shapes and is off by at most a pixel.

    Args:
        split, channels, length, size, max_size, classes, seed: as of ``Shapes``.
        annotators: at most so many; how many there are varies from picture to picture.
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
        annotators: int = 3,
    ) -> None:
        super().__init__(split, channels, length, size, max_size, classes, seed)
        self.annotators = max(1, annotators)
        self.labels = {"edges": Edges()}

    def __getitem__(self, index: int) -> Sample:
        """Draws one sample: image uint8 c h w, edges int8 a h w, valid bool h w."""
        key = self.key(index)
        rng = generator(self.seed, "edges", key)
        lowest, highest = self.sizes
        height, width = (int(rng.integers(low, high + 1)) for low, high in zip(lowest, highest, strict=True))
        picture, regions = draw(rng, height, width, self.shapes, instances=True)
        count = int(rng.integers(1, self.annotators + 1))
        edges = np.stack([_drawn(rng, regions) for _ in range(count)])
        return {
            "key": key,
            "path": "",
            "image": self._image(picture),
            "valid": torch.ones(height, width, dtype=torch.bool),
            "edges": torch.from_numpy(edges.astype(np.int8)),
        }


def _drawn(rng: np.random.Generator, regions: np.ndarray) -> np.ndarray:
    """The outlines as one annotator draws them, bool h w."""
    seen = np.arange(regions.max(initial=0) + 1)
    seen[rng.random(len(seen)) < _FORGOTTEN] = 0
    down, right = (int(shift) for shift in rng.integers(0, 2, 2))
    moved = np.pad(seen[regions], ((down, 0), (right, 0)), mode="edge")
    return boundaries(moved[: regions.shape[0], : regions.shape[1]])
