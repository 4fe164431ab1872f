"""Density maps from points: a Gaussian for each object, whose mass is exactly one inside the picture.

Maps are made when they are needed, from the points that augmentation leaves, so that no map is stored or resampled.
Deviations are therefore in pixels of the picture as it is trained on, after scaling and cropping.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numba
import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from visionkit.errors import ConfigError
from visionkit.layers.mass import gathered
from visionkit.layers.points import cells_of, inside
from visionkit.layers.strides import per_axis
from visionkit.layers.valid import real_size
from visionkit.types import Batch, Stride

Kernel = Callable[[Float64[np.ndarray, "n 2"], Sequence[int]], Float64[np.ndarray, " n"]]
"""(points, height and width of the picture) -> deviation of each point's Gaussian in pixels; hashable."""
_TRUNCATE = 4.0  # deviations, as scipy.ndimage.gaussian_filter


@dataclass(frozen=True)
class FixedKernel:
    """The same deviation for every point, whatever the picture was scaled by.

    Published maps are scaled with their pictures, and their deviations with them.

    Raises ConfigError C136 for a negative deviation.
    """

    sigma_px: float = 5.0

    def __post_init__(self) -> None:
        if self.sigma_px < 0:
            raise ConfigError("C136", "kernel.sigma_px", f"{self.sigma_px} is no deviation", "give 0 or more pixels")

    def __call__(self, points: Float64[np.ndarray, "n 2"], size: Sequence[int]) -> Float64[np.ndarray, " n"]:
        """Deviations in pixels."""
        return np.full(len(points), float(self.sigma_px))


@dataclass(frozen=True)
class AdaptiveKernel:
    """A share of the mean distance to the nearest neighbours (Zhang et al. 2016, "MCNN", section 2.2).

    Neighbours are those inside what augmentation leaves, mostly a crop: near its borders, and where a crop holds few
    points, deviations are larger than of the whole picture. ``largest_px`` bounds them; no bound is published.

    Args:
        beta: the share.
        neighbours: how many; where there are fewer points, all of them.
        sigma_px: of a point alone; None is a quarter of the mean of the picture's sides.
        largest_px: bound from above; None for none.

    Raises ConfigError C136 for less than one neighbour or a negative share.
    """

    beta: float = 0.3
    neighbours: int = 3
    sigma_px: float | None = None
    largest_px: float | None = None

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.beta < 0:
            what = f"{self.beta} of the distance to {self.neighbours} neighbours is no deviation"
            raise ConfigError("C136", "kernel", what, "give beta 0 or more and neighbours 1 or more")

    def __call__(self, points: Float64[np.ndarray, "n 2"], size: Sequence[int]) -> Float64[np.ndarray, " n"]:
        """Deviations in pixels."""
        distance = neighbour_distance(points, self.neighbours)
        alone = sum(size) / 8 if self.sigma_px is None else self.sigma_px
        sigmas = np.where(np.isfinite(distance), self.beta * distance, alone)
        return sigmas if self.largest_px is None else sigmas.clip(max=self.largest_px)


def neighbour_distance(points: Float64[np.ndarray, "n 2"], neighbours: int) -> Float64[np.ndarray, " n"]:
    """Mean distance of each point to its nearest others, infinite for a point alone."""
    if len(points) < 2:
        return np.full(len(points), np.inf)
    count = min(neighbours, len(points) - 1)
    distances, _ = cKDTree(points).query(points, k=count + 1)
    return distances[:, 1:].mean(1)


def density_map(points: Float[Tensor, "n 2"], size: Sequence[int], kernel: Kernel) -> Float[Tensor, "h w"]:
    """Objects a pixel, float32 on the CPU; the sum is the number of points, all of which must be inside.

    A Gaussian stands on the middle of its point's pixel and ends at 4 deviations, so that away from the borders the map
    is scipy's ``gaussian_filter`` of the picture of the points. What the border cuts off is given to the rest.
    """
    height, width = size
    places = points.detach().cpu().double().numpy().reshape(-1, 2)
    density = np.zeros((height, width), dtype=np.float32)
    if len(places):
        pixels = cells_of(points, size, size).numpy()
        _stamp(density, pixels[:, 0], pixels[:, 1], kernel(places, size), _TRUNCATE)
        density *= len(places) / density.sum(dtype=np.float64)  # what the rounding of many additions has lost
    return torch.from_numpy(density)


@numba.njit(cache=True, nogil=True)
def _stamp(density, rows, columns, sigmas, truncate):  # type: ignore[no-untyped-def]
    """Adds the outer product of two bells for each point, each bell normalised over what is inside."""
    height, width = density.shape
    last, radius = -1.0, 0
    bell = np.ones(1)
    for n in range(len(rows)):
        if sigmas[n] != last:
            last = sigmas[n]
            radius = int(truncate * last + 0.5)
            bell = np.ones(2 * radius + 1)
            for i in range(1, radius + 1):
                bell[radius - i] = bell[radius + i] = np.exp(-0.5 * (i / last) ** 2)
        top, bottom = max(0, rows[n] - radius), min(height, rows[n] + radius + 1)
        left, right = max(0, columns[n] - radius), min(width, columns[n] + radius + 1)
        vertical = bell[top - rows[n] + radius : bottom - rows[n] + radius]
        horizontal = bell[left - columns[n] + radius : right - columns[n] + radius]
        line = (horizontal / (horizontal.sum() * vertical.sum())).astype(np.float32)
        for y in range(bottom - top):
            weight = np.float32(vertical[y])
            target = density[top + y, left:right]
            for x in range(len(line)):
                target[x] += weight * line[x]


@dataclass(frozen=True)
class Crowds:
    """The points of a batch's pictures, and the grid on which a decoder sees them.

    Attributes:
        points: of each picture, those inside it.
        sizes: height and width of each picture without padding.
        stride: pixels for a cell.
        grid: rows and columns of the decoder's map, which may reach beyond the pictures.
        device: where targets are wanted.
    """

    points: list[Float[Tensor, "n 2"]]
    sizes: list[tuple[int, ...]]
    stride: tuple[int, ...]
    grid: tuple[int, ...]
    device: torch.device
    _made: dict[Kernel, list[Tensor]] = field(default_factory=dict, repr=False, compare=False)
    """Full-size densities by kernel: the losses of a step mostly share one."""

    @classmethod
    def of(cls, batch: Batch, stride: Stride, maps: Float[Tensor, "b k rows columns"]) -> "Crowds":
        """Of a batch, for the maps of a decoder."""
        sizes = sizes_of(batch)
        points = [own[inside(own, size)] for own, size in zip(batch["points"], sizes, strict=True)]
        return cls(points, sizes, per_axis(stride, 2), tuple(maps.shape[2:]), maps.device)

    def density(self, kernel: Kernel) -> Float[Tensor, "b rows columns"]:
        """Objects a cell."""
        return self._on_grid(self._maps(kernel))

    def near(self, kernel: Kernel, threshold: float) -> Float[Tensor, "b rows columns"]:
        """Share of each cell's pixels at which the density is above the threshold."""
        maps = [(density > threshold).float() for density in self._maps(kernel)]
        return self._on_grid(maps) / self._pixels.clamp(min=1)

    def real(self) -> Bool[Tensor, "b rows columns"]:
        """Cells that hold a part of the picture; losses look at no others."""
        return self._pixels > 0

    @cached_property
    def _pixels(self) -> Int64[Tensor, "b rows columns"]:
        """How many pixels of the picture each cell holds."""
        starts = [torch.arange(cells) * step for cells, step in zip(self.grid, self.stride, strict=True)]
        sides = [
            [(length - start).clamp(0, step) for length, start, step in zip(size, starts, self.stride, strict=True)]
            for size in self.sizes
        ]
        return torch.stack([torch.outer(rows, columns) for rows, columns in sides]).to(self.device)

    def _maps(self, kernel: Kernel) -> list[Float[Tensor, "h w"]]:
        """Density of each picture at its size."""
        if kernel not in self._made:
            pictures = zip(self.points, self.sizes, strict=True)
            self._made[kernel] = [density_map(own, size, kernel) for own, size in pictures]
        return self._made[kernel]

    def _on_grid(self, maps: list[Float[Tensor, "h w"]]) -> Float[Tensor, "b rows columns"]:
        target = torch.zeros(len(maps), *self.grid)
        for row, pixels in zip(target, maps, strict=True):
            cells = gathered(pixels, self.stride)
            row[: cells.shape[0], : cells.shape[1]] = cells
        return target.to(self.device)


def sizes_of(batch: Batch) -> list[tuple[int, ...]]:
    """Height and width of each picture without padding, which lies on the right and below (see ``real_size``)."""
    if "valid" in batch:
        return [real_size(valid) for valid in batch["valid"]]
    return [tuple(batch["image"].shape[2:])] * len(batch["image"])
