"""Volumes in HDF5 files, as preprocessed medical data is often passed on."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from visionkit.datasets.images import file_size
from visionkit.datasets.nifti import Volume, check_size, plain_volume, whole_numbers
from visionkit.errors import DataError, ResourceError


class Hdf5Reader:
    """Reads one array of a file, ``d h w``.

    Args:
        name: of the array in the file.
        spacing_mm: of the voxels along d, h, w, which such files do not hold.
    """

    def __init__(self, name: str, spacing_mm: tuple[float, float, float]) -> None:
        self.name, self.spacing_mm = name, spacing_mm

    def image(self, path: Path) -> Volume:
        """Image ``c d h w`` float32 with one channel.

        Raises:
            DataError: D10 missing, D11 unreadable, D12 empty, D53 too large, D54 not three axes, D55 values that
                are not finite, D57 kind of numbers, D63 not HDF5, damaged, or without such an array.
            ResourceError: R14 h5py is not installed.
        """
        array = self._read(path).astype(np.float32)
        wrong = array.size - int(np.isfinite(array).sum())
        if wrong:
            what = f"{wrong} of {array.size} voxels of {self.name!r} are NaN or infinite"
            raise DataError("D55", path, what, "replace them by the value of the background")
        return plain_volume(array[None], self.spacing_mm)

    def labels(self, path: Path) -> Volume:
        """Labels ``d h w`` int64. Raises as ``image``, and DataError D58 for values that are no whole numbers."""
        return plain_volume(whole_numbers(self._read(path), path), self.spacing_mm)

    def _read(self, path: Path) -> np.ndarray:
        size_bytes = file_size(path)
        h5py = _h5py()
        try:
            with h5py.File(path, "r") as file:
                return self._array(file, path)
        except (DataError, MemoryError):
            raise
        except Exception as error:  # a decoder can fail in any way on bytes that are not what they claim to be
            what = f"cannot be read as HDF5 ({size_bytes} bytes; {' '.join(str(error).split())[:120]})"
            raise DataError("D63", path, what, "replace it or set dataset.on_bad=skip") from error

    def _array(self, file: Any, path: Path) -> np.ndarray:
        if self.name not in file or not hasattr(file[self.name], "dtype"):
            what = f"holds no array {self.name!r} (found {', '.join(file) or 'nothing'})"
            raise DataError("D63", path, what, "save the arrays under the names in data/README.md")
        array = file[self.name]
        if len(array.shape) != 3 or 0 in array.shape:
            shape = " x ".join(map(str, array.shape))
            raise DataError(
                "D54", path, f"{self.name!r} is of {shape}", "save it with three axes: slices, rows, columns"
            )
        check_size(array.shape, path)
        if array.dtype.kind not in "iufb":
            raise DataError("D57", path, f"{self.name!r} holds {array.dtype} values", "save it as numbers")
        return array[()]


def _h5py() -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise ResourceError("R14", "", "the package h5py is not installed", "pip install 'visionkit[hdf5]'") from error
    return h5py
