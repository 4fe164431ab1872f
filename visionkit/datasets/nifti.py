"""NIfTI volumes: read in one orientation, written back in their own."""

import gzip
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from jaxtyping import Float64, Int64, Shaped
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

from visionkit.datasets.images import MAX_PIXELS, file_size
from visionkit.errors import DataError
from visionkit.files import replaced_file

SUFFIXES = (".nii.gz", ".nii")
"""Endings of NIfTI files, in small letters."""

_REPLACE = "replace it or set dataset.on_bad=skip"
_CONVERT = "convert it to a single NIfTI file (.nii or .nii.gz)"
_HEADER_BYTES = 540
_KINDS = {b"\x5c\x01\0\0": "nifti1", b"\0\0\x01\x5c": "nifti1", b"\x1c\x02\0\0": "nifti2", b"\0\0\x02\x1c": "nifti2"}
"""The first four bytes hold the header's size, in either order of bytes."""
_IMAGES = {"nifti1": nibabel.Nifti1Image, "nifti2": nibabel.Nifti2Image}
_MAGIC = {"nifti1": (slice(344, 348), b"n+1\0"), "nifti2": (slice(4, 8), b"n+2\0")}
_MM = {"mm": 1.0, "meter": 1e3, "micron": 1e-3, "unknown": 1.0}
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
    image = _load(path)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is reported as that
        array = _values(image, path).astype(np.float32)
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
    image = _load(path)
    values = _values(image, path)
    if values[0, 0, 0].size != 1:
        what = f"holds {values[0, 0, 0].size} values a voxel ({_by(image.shape)})"
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


def file_name(path: Path) -> str:
    """Name of a NIfTI file without its ending."""
    return next((path.name[: -len(end)] for end in SUFFIXES if path.name.lower().endswith(end)), path.name)


def check_size(shape: tuple[int, ...], path: Path) -> None:
    """Raises DataError D53 for a volume of more values than MAX_PIXELS, before any memory is taken for it."""
    if np.prod(shape, dtype=object) > MAX_PIXELS:
        what = f"is {_by(shape)} voxels; at most {MAX_PIXELS} are read"
        raise DataError("D53", path, what, "crop it or make it coarser")


def _load(path: Path) -> Any:
    """The NIfTI image with all its bytes in memory; nothing of its values is looked at."""
    size_bytes = file_size(path)
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
            kind, wanted = _examine(head, path)
            data = head + file.read(max(0, wanted - len(head)))
            if len(data) < wanted:
                raise _truncated(path, f"{size_bytes} bytes, which hold {len(data)} of {wanted}")
            file.read(1)  # at the end of the stream its checksum is compared
        return _IMAGES[kind].from_bytes(data)
    except (DataError, MemoryError):
        raise
    except EOFError as error:
        raise _truncated(path, f"{size_bytes} bytes") from error
    except gzip.BadGzipFile as error:
        if "Not a gzipped file" in str(error):
            raise _not_nifti(path, "is not compressed by gzip, as its name says") from error
        raise _damaged(path, error) from error
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
        raise DataError("D11", path, what, "check the path and its permissions") from error
    except Exception as error:  # a decoder can fail in any way on bytes that are not what they claim to be
        raise _damaged(path, error) from error


def _examine(head: bytes, path: Path) -> tuple[str, int]:
    """Which NIfTI it is and how many bytes it needs, from its first bytes."""
    kind = _KINDS.get(head[:4])
    if kind is None:
        raise _not_nifti(path, "is no NIfTI file")
    place, magic = _MAGIC[kind]
    image = _IMAGES[kind]
    if len(head) < image.header_class.sizeof_hdr:
        raise _truncated(path, f"{len(head)} bytes, inside its header")
    if head[place] != magic:
        raise _not_nifti(path, f"is no NIfTI file of its own (mark {head[place]!r}): a pair of .hdr and .img, or Analyze")
    header = image.header_class(head[: image.header_class.sizeof_hdr], check=False)
    shape, kind_of_numbers = tuple(map(int, header.get_data_shape())), header.get_data_dtype()
    if len(shape) < 3 or any(length < 1 for length in shape) or any(length != 1 for length in shape[3:-1]):
        what = f"has {len(shape)} axes ({_by(shape) or 'no size'})"
        raise DataError("D54", path, what, "save it with three axes in space, and at most one more for channels")
    check_size(shape, path)
    if kind_of_numbers.kind not in "iufb":
        fix = "save it as whole or floating-point numbers, one for each voxel and channel"
        raise DataError("D57", path, f"holds {kind_of_numbers} values", fix)
    offset = int(header.get_data_offset())
    if not 0 <= offset <= MAX_PIXELS:
        raise _damaged(path, f"its values are said to begin at byte {offset}")
    return kind, offset + int(np.prod(shape, dtype=object)) * kind_of_numbers.itemsize


def _values(image: Any, path: Path) -> np.ndarray:
    try:
        return np.asanyarray(image.dataobj)
    except Exception as error:  # as above: the header decides what is done to the bytes
        raise _damaged(path, error) from error


def _turned(image: Any, array: Shaped[np.ndarray, "i j k c"], path: Path, channels: bool = True) -> Volume:
    affine = np.asarray(image.affine, dtype=np.float64)
    unit = _MM.get(image.header.get_xyzt_units()[0], 1.0)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    # The determinant of the axes' directions is that of no volume where two of them are the same.
    if not np.isfinite(affine).all() or sizes.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-6:
        what = f"its affine cannot be inverted (voxels of {_by(sizes.round(6).tolist())} mm)"
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


def _not_nifti(path: Path, what: str) -> DataError:
    return DataError("D50", path, what, _CONVERT)


def _truncated(path: Path, after: str) -> DataError:
    return DataError("D51", path, f"truncated after {after}", _REPLACE)


def _damaged(path: Path, reason: Exception | str) -> DataError:
    if isinstance(reason, zlib.error):
        reason = "its compressed bytes are wrong"
    return DataError("D52", path, f"is damaged ({' '.join(str(reason).split())[:120]})", _REPLACE)


def _by(lengths: Any) -> str:
    return " x ".join(map(str, lengths))
