"""NIfTI volumes: read in one orientation, written back in their own."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from jaxtyping import Float64, Int64, Shaped
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

from visionkit.datasets.nifti_files import by, load_nifti, voxels
from visionkit.errors import DataError
from visionkit.files import replaced_file

_MM = {1: 1e3, 2: 1.0, 3: 1e-3}
"""Millimetres of a header's code for metre, millimetre, micrometre."""
_RAS = np.array([[0, 1], [1, 1], [2, 1]], dtype=float)
_WHOLE = 1e-3
"""How far a label may be from a whole number: some programs store labels scaled."""


@dataclass(frozen=True)
class Volume:
    """A volume in the orientation (superior, anterior, right), and how it lay in its file.

    Attributes:
        array: image ``c d h w`` float32, or labels ``d h w`` int64; d runs from inferior to superior, h from
            posterior to anterior, w from left to right.
        spacing_mm: distance of voxel centres along d, h, w.
        affine: of the file, 4 x 4: its voxel (i, j, k, 1) to (right, anterior, superior, 1) in the file's unit.
        shape: of the file's three axes in space.
        orientation: for each axis of the file the axis of RAS it runs along, and 1 or -1 (as nibabel has it).
        header: of the file; a plain one where the volume comes from elsewhere.
    """

    array: Shaped[np.ndarray, "*channels d h w"]
    spacing_mm: tuple[float, float, float]
    affine: Float64[np.ndarray, "4 4"]
    shape: tuple[int, int, int]
    orientation: Float64[np.ndarray, "3 2"]
    header: nibabel.Nifti1Header

    @property
    def ras_affine(self) -> Float64[np.ndarray, "4 4"]:
        """Voxel (w, h, d, 1) of the turned array to (right, anterior, superior, 1)."""
        return self.affine @ inv_ornt_aff(self.orientation, self.shape)


def plain_volume(array: Shaped[np.ndarray, "*channels d h w"], spacing_mm: tuple[float, float, float]) -> Volume:
    """A volume that comes from no NIfTI file: its axes are those of the array."""
    depth, height, width = array.shape[-3:]
    affine = np.diag([*reversed(spacing_mm), 1.0])
    header = nibabel.Nifti1Image(np.zeros((1, 1, 1), np.uint8), affine).header
    return Volume(array, spacing_mm, affine, (width, height, depth), _RAS.copy(), header)


def read_volume(path: str | Path) -> Volume:
    """Reads an image, ``c d h w`` float32; the fourth axis of the file is channels. Slope and intercept are applied.

    Raises:
        DataError: D10 missing, D11 unreadable, D12 empty, D50 not NIfTI, D51 truncated, D52 damaged, D53 too
            large, D54 not three axes in space, D55 values that are not finite, D56 affine, D57 kind of numbers.
    """
    path = Path(path)
    image = load_nifti(path)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is reported as that
        array = voxels(image, path).astype(np.float32)
    array = array.reshape(*array.shape[:3], -1)  # axes in front of the channels have length one
    wrong = array.size - int(np.isfinite(array).sum())
    if wrong:
        what = f"{wrong} of {array.size} voxels are NaN or infinite"
        raise DataError("D55", path, what, "replace them by the value of the background")
    return _turned(image, array, path)


def read_labels(path: str | Path) -> Volume:
    """Reads the labels of voxels, ``d h w`` int64.

    Raises DataError as ``read_volume``; D54 also for channels, D58 for values that are no whole numbers.
    """
    path = Path(path)
    image = load_nifti(path)
    values = voxels(image, path)
    if values[0, 0, 0].size != 1:
        what = f"holds {values[0, 0, 0].size} values a voxel ({by(image.shape)})"
        raise DataError("D54", path, what, "save one label for each voxel")
    return _turned(image, whole_numbers(values.reshape(image.shape[:3]), path)[..., None], path, channels=False)


def whole_numbers(values: Shaped[np.ndarray, "..."], path: Path) -> Int64[np.ndarray, "..."]:
    """Labels as int64. Raises DataError D58 where a value is no whole number."""
    if np.issubdtype(values.dtype, np.integer) or values.dtype == bool:
        return values.astype(np.int64)
    labels = np.rint(values)
    right = np.abs(values - labels) <= _WHOLE  # false for NaN as well
    if not right.all():
        what = f"holds the label {values[~right].flat[0]:.6g} ({int((~right).sum())} voxels hold no whole number)"
        raise DataError("D58", path, what, "save the labels as integers, resampled by the nearest voxel")
    return labels.astype(np.int64)


def write_labels(path: str | Path, labels: Int64[np.ndarray, "d h w"], like: Volume) -> None:
    """Writes labels that belong to ``like`` in its orientation, with its shape and affine; .nii or .nii.gz."""
    turned = apply_orientation(np.asarray(labels).transpose(2, 1, 0), ornt_transform(_RAS, like.orientation))
    if turned.shape != like.shape:
        raise ValueError(f"labels of {turned.shape} voxels do not belong to a volume of {like.shape}")
    small = turned.size == 0 or (turned.min() >= 0 and turned.max() <= 255)
    header = like.header.copy()
    header.extensions.clear()  # they belong to the image, and may name the patient
    header.set_data_dtype(np.uint8 if small else np.int16)
    header["cal_min"] = header["cal_max"] = 0
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    # Without an affine the header keeps its own, in the very bits.
    content = kind(turned.astype(header.get_data_dtype()), None, header).to_bytes()
    with replaced_file(Path(path)) as new:
        new.write_bytes(gzip.compress(content, mtime=0) if str(path).lower().endswith(".gz") else content)


def _turned(image: Any, array: Shaped[np.ndarray, "i j k c"], path: Path, channels: bool = True) -> Volume:
    affine = np.asarray(image.affine, dtype=np.float64)
    unit = _MM.get(int(image.header["xyzt_units"]) % 8, 1.0)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    # The determinant of the axes' directions is that of no volume where two of them are the same.
    if not np.isfinite(affine).all() or sizes.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-6:
        what = f"its affine cannot be inverted (voxels of {by(sizes.round(6).tolist())} mm)"
        raise DataError("D56", path, what, "correct the header's affine (sform or qform)")
    orientation = io_orientation(affine)
    turned = apply_orientation(array, orientation).transpose(3, 2, 1, 0)
    order = orientation[:, 0].argsort()
    right, anterior, superior = (float(sizes[axis] * unit) for axis in order)
    return Volume(
        np.ascontiguousarray(turned if channels else turned[0]),
        (superior, anterior, right),
        affine,
        (int(image.shape[0]), int(image.shape[1]), int(image.shape[2])),
        orientation,
        image.header,
    )
