"""NIfTI files: bytes checked before they are decoded, so that what is wrong with a file has one clear line."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from visionkit.datasets.images import file_size
from visionkit.errors import DataError

MAX_VOXELS = 500_000_000
"""Largest volume that is read, 2 GB as float32."""
SUFFIXES = (".nii.gz", ".nii")
"""Endings of NIfTI files, in small letters."""

_REPLACE = "replace it or set dataset.on_bad=skip"
_CONVERT = "convert it to a single NIfTI file (.nii or .nii.gz)"
_HEADER_BYTES = 540
_KINDS = {b"\x5c\x01\0\0": "nifti1", b"\0\0\x01\x5c": "nifti1", b"\x1c\x02\0\0": "nifti2", b"\0\0\x02\x1c": "nifti2"}
"""The first four bytes hold the header's size, in either order of bytes."""
_IMAGES = {"nifti1": nibabel.Nifti1Image, "nifti2": nibabel.Nifti2Image}
_MAGIC = {"nifti1": (slice(344, 348), b"n+1\0"), "nifti2": (slice(4, 8), b"n+2\0")}


def load_nifti(path: Path) -> Any:
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
        raise _not_nifti(
            path, f"is no NIfTI file of its own (mark {head[place]!r}): a pair of .hdr and .img, or Analyze"
        )
    header = image.header_class(head[: image.header_class.sizeof_hdr], check=False)
    shape, kind_of_numbers = tuple(map(int, header.get_data_shape())), header.get_data_dtype()
    if len(shape) < 3 or any(length < 1 for length in shape) or any(length != 1 for length in shape[3:-1]):
        what = f"has {len(shape)} axes ({by(shape) or 'no size'})"
        raise DataError("D54", path, what, "save it with three axes in space, and at most one more for channels")
    check_size(shape, path)
    if kind_of_numbers.kind not in "iufb":
        fix = "save it as whole or floating-point numbers, one for each voxel and channel"
        raise DataError("D57", path, f"holds {kind_of_numbers} values", fix)
    offset = int(header.get_data_offset())
    if not 0 <= offset <= MAX_VOXELS:
        raise _damaged(path, f"its values are said to begin at byte {offset}")
    return kind, offset + int(np.prod(shape, dtype=object)) * kind_of_numbers.itemsize


def voxels(image: Any, path: Path) -> np.ndarray:
    """The values, slope and intercept applied. Raises DataError D52."""
    try:
        return np.asanyarray(image.dataobj)
    except Exception as error:  # as above: the header decides what is done to the bytes
        raise _damaged(path, error) from error


def file_name(path: Path) -> str:
    """Name of a NIfTI file without its ending."""
    return next((path.name[: -len(end)] for end in SUFFIXES if path.name.lower().endswith(end)), path.name)


def check_size(shape: tuple[int, ...], path: Path) -> None:
    """Raises DataError D53 for a volume of more values than MAX_VOXELS, before any memory is taken for it."""
    if np.prod(shape, dtype=object) > MAX_VOXELS:
        what = f"is {by(shape)} voxels; at most {MAX_VOXELS} are read"
        raise DataError("D53", path, what, "crop it or make it coarser")


def _not_nifti(path: Path, what: str) -> DataError:
    return DataError("D50", path, what, _CONVERT)


def _truncated(path: Path, after: str) -> DataError:
    return DataError("D51", path, f"truncated after {after}", _REPLACE)


def _damaged(path: Path, reason: Exception | str) -> DataError:
    if isinstance(reason, zlib.error):
        reason = "its compressed bytes are wrong"
    return DataError("D52", path, f"is damaged ({' '.join(str(reason).split())[:120]})", _REPLACE)


def by(lengths: Any) -> str:
    """``3 x 4 x 5``."""
    return " x ".join(map(str, lengths))
