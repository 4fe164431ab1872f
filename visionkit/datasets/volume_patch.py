"""Patches of volumes: where they lie, how they are turned and scaled, and how they are cut, in one step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from scipy.ndimage import affine_transform
from torch import Tensor

from visionkit.errors import ConfigError
from visionkit.types import IGNORE_INDEX, Sample

_PADDED, _FIRST = 0, 2
"""Codes of a mask on its way: what lies outside the volume, and class 0 (1 is unknown)."""


@dataclass(frozen=True)
class Patch:
    """Cuts one patch at a random place; turns and scales it in the same step, so that nothing outside is computed.

    A volume that is smaller than the patch lies at a random place within it. What is outside the volume is 0 in
    the image, IGNORE_INDEX in the mask, and not valid. Turning and scaling happen in millimetres: bodies keep
    their shape where voxels are long.

    Args:
        size: of the patch in voxels along d, h, w.
        foreground: share of patches around a voxel of a class other than 0; each class present is as likely.
        rotation_deg: largest angle about d, h, w, one number or three.
        scale: smallest and largest factor; above 1 enlarges.
        scale_axes: which of d, h, w are scaled, all by one factor; not depth where slices are far apart.
        p_rotation, p_scale: shares of patches that are turned, that are scaled.

    Source: patch sampling of nnU-Net (Isensee et al. 2021).

    Raises ConfigError C54 for a size that is none, C86 for other values that are not possible.
    """

    size: Sequence[int]
    foreground: float = 0.33
    rotation_deg: float | Sequence[float] = 0.0
    scale: Sequence[float] = (1.0, 1.0)
    p_rotation: float = 0.2
    p_scale: float = 0.2
    scale_axes: Sequence[bool] = (True, True, True)

    def __post_init__(self) -> None:
        if len(self.size) != 3 or min(self.size) < 1:
            fix = "write [depth, height, width] in voxels"
            raise ConfigError("C54", "dataset.augment.patch.size", f"{list(self.size)} is no size", fix)
        for name in ("foreground", "p_rotation", "p_scale"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "write a share from 0 to 1")
        _require(len(self._angles()) == 3, "rotation_deg", self.rotation_deg, "write one angle, or one for each axis")
        right = len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1]
        _require(right, "scale", self.scale, "write [smallest, largest], both above 0")
        _require(len(self.scale_axes) == 3, "scale_axes", self.scale_axes, "write true or false for each axis")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c d h w, mask and valid d h w of any size to the size of the patch."""
        mask = sample.get("mask")
        start = self._start(tuple(sample["image"].shape[1:]), None if mask is None else mask.numpy(), rng)
        matrix = self._matrix(sample, rng)
        coded = _encode(sample)
        if matrix is None:
            image = [_slice(channel, start, self.size) for channel in sample["image"].numpy()]
            coded = _slice(coded, start, self.size)
        else:
            image = [_sample(channel, matrix, start, self.size, 1) for channel in sample["image"].numpy()]
            coded = _sample(coded, matrix, start, self.size, 0)
        return {**sample, "image": torch.from_numpy(np.stack(image)), **_decode(coded, "mask" in sample)}  # type: ignore[typeddict-item]

    def _angles(self) -> tuple[float, ...]:
        angles = self.rotation_deg
        return (float(angles),) * 3 if isinstance(angles, int | float) else tuple(map(float, angles))

    def _start(self, shape: Sequence[int], mask: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        """Index in the volume of the patch's first voxel."""
        room = np.subtract(shape, self.size)
        low, high = np.minimum(room, 0), np.maximum(room, 0)
        start = rng.integers(low, high + 1)
        if rng.random() >= self.foreground or mask is None:
            return start
        present = np.unique(mask[mask > 0])
        if not present.size:
            return start
        places = np.argwhere(mask == rng.choice(present))
        middle = places[rng.integers(len(places))] - np.asarray(self.size) // 2
        return np.where(room > 0, middle.clip(low, high), start)

    def _matrix(self, sample: Sample, rng: np.random.Generator) -> Float64[np.ndarray, "3 3"] | None:
        """Steps in the patch to steps in the volume, both in voxels; None where they are the same."""
        angles = np.radians([rng.uniform(-angle, angle) for angle in self._angles()])
        factor = math.exp(rng.uniform(*np.log(self.scale)))
        turned, scaled = rng.random(2) < (self.p_rotation, self.p_scale)
        matrix = rotation(angles) if turned else np.eye(3)
        if scaled:
            matrix = matrix / np.where(self.scale_axes, factor, 1.0)  # of each column, an axis of the patch
        if np.array_equal(matrix, np.eye(3)):
            return None
        spacing = sample["spacing_mm"].numpy() if "spacing_mm" in sample else np.ones(3)
        return matrix * spacing / spacing[:, None]


def rotation(angles_rad: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """Turns about the first, then the second, then the third axis."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles_rad):
        first, second = (other for other in range(3) if other != axis)
        turn = np.eye(3)
        turn[[first, second], [first, second]] = math.cos(angle)
        turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    return matrix


def _slice(plane: Shaped[np.ndarray, "d h w"], start: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The patch from ``start``, which may lie outside; 0 there."""
    patch = np.zeros(tuple(size), plane.dtype)
    low, high = np.maximum(start, 0), np.minimum(start + size, plane.shape)
    inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    patch[tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))] = plane[inside]
    return patch


def _sample(
    plane: Shaped[np.ndarray, "d h w"], matrix: np.ndarray, start: np.ndarray, size: Sequence[int], order: int
) -> np.ndarray:
    """The patch whose middle is that of the patch from ``start``, read linearly (order 1) or by the nearest voxel."""
    middle = (np.asarray(size) - 1) / 2
    offset = start + middle - matrix @ middle
    corners = np.array(list(product(*((0, length - 1) for length in size)))) @ matrix.T + offset
    low = np.floor(corners.min(axis=0)).astype(int).clip(0, np.subtract(plane.shape, 1))
    high = np.ceil(corners.max(axis=0)).astype(int).clip(low, np.subtract(plane.shape, 1)) + 1
    box = plane[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return affine_transform(box, matrix, offset - low, tuple(size), order=order, mode="grid-constant", prefilter=False)


def _encode(sample: Sample) -> Shaped[np.ndarray, "d h w"]:
    """Mask and valid in one plane."""
    shape = sample["image"].shape[1:]
    coded = sample["mask"].numpy() + _FIRST if "mask" in sample else np.full(shape, _FIRST)
    if "valid" in sample:
        coded = np.where(sample["valid"].numpy(), coded, _PADDED)
    return coded.astype(np.int32)


def _decode(coded: Shaped[np.ndarray, "d h w"], with_mask: bool) -> dict[str, Tensor]:
    planes = {"valid": torch.from_numpy(coded != _PADDED)}
    if with_mask:
        planes["mask"] = torch.from_numpy((coded.astype(np.int64) - _FIRST).clip(IGNORE_INDEX))
    return planes


def _require(right: bool, name: str, value: object, fix: str) -> None:
    if not right:
        raise ConfigError("C86", f"dataset.augment.patch.{name}={value}", "is not possible", fix)
