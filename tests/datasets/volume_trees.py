"""Small volumes in NIfTI files, as the tests of the volume datasets write them."""

from pathlib import Path

import nibabel
import numpy as np

AFFINE = np.diag([1.5, 2.0, 4.0, 1.0])
"""Axes to the right, to the front and upwards; voxels of 1.5 x 2 x 4 mm."""


def write(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Saves an array in the order of the file's axes (i, j, k)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def image(shape: tuple[int, ...] = (6, 5, 4), seed: int = 0) -> np.ndarray:
    """Values of an MR volume."""
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


def labels(shape: tuple[int, ...] = (6, 5, 4), classes: int = 3, seed: int = 0) -> np.ndarray:
    """Every class at about as many voxels."""
    return np.random.default_rng(seed).integers(0, classes, shape).astype(np.uint8)
