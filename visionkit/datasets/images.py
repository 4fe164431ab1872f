"""Pictures from the disk: every kind that users have, and a clear error for everything else."""

import os
import re
import stat
import warnings
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from visionkit.errors import ConfigError, DataError

MAX_PIXELS = 10**8
"""Pictures with more pixels are refused by their header: a small file can ask for all the memory there is."""

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Endings of the files that a dataset takes for pictures, in small letters."""

_REPLACE = "replace it or set dataset.on_bad=skip"
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": b"IEND\xaeB`\x82",
    b"\xff\xd8\xff": b"\xff\xd9",
    b"GIF8": b";",
    b"RIFF": None,
    b"II*\x00": None,
    b"MM\x00*": None,
}
"""How files of a format begin, and how they end where the format has such a mark."""

# Named, because Pillow knows formats that start other programs (EPS) or that are no pictures (MPEG, PDF).
Image.init()
_FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "MPO", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
    if name in Image.OPEN
)
# Whatever Pillow warns about either does no harm or becomes a DataError below.
warnings.filterwarnings("ignore", module=r"PIL\..*")


def read_image(path: str | Path, channels: int = 3) -> UInt8[Tensor, "c h w"]:
    """Reads the first picture of a file, upright, as 8-bit colour (``channels=3``) or grey (``channels=1``).

    EXIF rotation is applied. Transparency is dropped, as other tools do. Of 16-bit values the high byte is
    kept (``value // 256``). Colour becomes grey by ITU-R 601 luma. The tensor is a view of h w c memory.

    Raises:
        DataError: D10 missing, D11 unreadable, D12 empty, D13 not a picture, D14 more than MAX_PIXELS,
            D15 truncated, D16 damaged, D17 pixels without a known range (32 bit).
    """
    path = Path(path)
    return _with_channels(eight_bit(load(path), path), channels)


def decode_image(data: bytes, place: str, channels: int = 3) -> UInt8[Tensor, "c h w"]:
    """As ``read_image``, of a file's bytes that lie elsewhere; ``place`` names them in messages.

    Raises DataError: D14 more than MAX_PIXELS, D16 damaged or no picture, D17 pixels without a known range (32 bit).
    """
    try:
        image = _decoded(BytesIO(data), Path(place))
    except (DataError, MemoryError):
        raise
    except Exception as error:  # a decoder can fail in any way on bytes that are not what they claim to be
        raise _no_picture(place, error) from error
    return _with_channels(eight_bit(image, Path(place)), channels)


def encoded_size(data: bytes, place: str) -> tuple[int, int]:
    """Height and width of the upright picture, from the head of its bytes. Raises DataError D16."""
    try:
        return _upright_size(Image.open(BytesIO(data), formats=_FORMATS))
    except Exception as error:  # as when it is decoded
        raise _no_picture(place, error) from error


def _with_channels(image: Image.Image, channels: int) -> UInt8[Tensor, "c h w"]:
    if channels == 1:
        grey = image if image.mode in ("1", "L", "LA") else image.convert("RGB")
        return torch.from_numpy(np.array(grey.convert("L")))[None]
    if channels == 3:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    raise ConfigError("C50", "dataset.channels", f"pictures cannot have {channels} channels", "set it to 1 or 3")


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels of the upright picture, from the head of its file. Raises as ``read_image``."""
    size_bytes = file_size(path)
    try:
        with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
            return _upright_size(image)
    except MemoryError:
        raise
    except Exception as error:  # as when it is decoded
        raise _explain(path, size_bytes, error) from error


def _upright_size(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
    return (image.width, image.height) if turned else (image.height, image.width)


def _no_picture(place: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return DataError("D16", place, f"is damaged or no picture ({reason})", _REPLACE)


def load(path: Path) -> Image.Image:
    """The decoded picture in its own mode, turned upright; ``format`` is kept. Raises as ``read_image``."""
    size_bytes = file_size(path)
    try:
        with path.open("rb") as file:
            return _decoded(file, path)
    except (DataError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise _too_large(path, f"has {pixels[0] if pixels else 'too many'} pixels") from error
    except Exception as error:  # a decoder can fail in any way on bytes that are not what they claim to be
        raise _explain(path, size_bytes, error) from error


def _decoded(file: BinaryIO, path: Path) -> Image.Image:
    image = Image.open(file, formats=_FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path, f"is {image.width} x {image.height} pixels")
    image.load()
    turn = _UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    upright = image if turn is None else image.transpose(turn)
    upright.format = image.format
    return upright


def eight_bit(image: Image.Image, path: Path) -> Image.Image:
    """A picture whose channels have 8 bits (or one): 16-bit grey is reduced to its high byte."""
    if image.mode == "F":
        raise _unknown_range(path, "floating-point pixels")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > 0xFFFF):
        raise _unknown_range(path, "32-bit pixels")
    return Image.fromarray((values >> 8).astype(np.uint8))


def file_size(path: Path) -> int:
    """Size in bytes of a file that can be opened without waiting (a pipe would block for ever).

    Raises DataError: D10 missing, D11 unreadable, D12 empty.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            what = f"is a link to {os.readlink(path)}, which does not exist"
            raise DataError("D11", path, what, "restore the file that it points to") from None
        raise DataError("D10", path, "does not exist", "restore it or take it out of the dataset") from None
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "device or a pipe"
        raise DataError("D11", path, f"is a {kind}, not a file", "move it out of the dataset")
    if status.st_size == 0:
        raise DataError("D12", path, "is empty (0 bytes)", _REPLACE)
    return status.st_size


def _explain(path: Path, size_bytes: int, error: Exception) -> DataError:
    if isinstance(error, OSError) and error.errno:
        return _unreadable(path, error)
    known, complete = _ends(path, size_bytes)
    if not complete or (known and "truncated" in str(error).lower()):
        return DataError("D15", path, f"truncated after {size_bytes} bytes", _REPLACE)
    if isinstance(error, UnidentifiedImageError) and not known:
        fix = f"replace it by one of {', '.join(_FORMATS)}"
        return DataError("D13", path, "is not a picture of a known format", fix)
    if "truncated" in str(error).lower():
        return DataError("D15", path, f"truncated after {size_bytes} bytes", _REPLACE)
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return DataError("D16", path, f"is damaged ({reason})", _REPLACE)


def _ends(path: Path, size_bytes: int) -> tuple[bool, bool]:
    """Whether the file begins like a picture, and whether it also ends as its format says."""
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(max(0, size_bytes - 32))
        tail = file.read()
    magic = next((magic for magic in _MAGIC if head.startswith(magic[: len(head)])), None)
    if magic is None:
        return False, True
    if magic == b"RIFF":
        return True, len(head) >= 8 and int.from_bytes(head[4:8], "little") + 8 <= size_bytes
    mark = _MAGIC[magic]
    if mark is None or len(head) <= len(magic):
        return True, mark is None
    return True, tail.rstrip(b"\0").endswith(mark)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError("D11", path, f"cannot be read ({error.strerror or error})", "check the path and its permissions")


def _too_large(path: Path, what: str) -> DataError:
    fix = "make it smaller or cut it into pieces"
    return DataError("D14", path, f"{what}; at most {MAX_PIXELS} are read", fix)


def _unknown_range(path: Path, what: str) -> DataError:
    return DataError("D17", path, f"has {what}, which have no known range", "save it with 8 or 16 bits per channel")
