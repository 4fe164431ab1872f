"""Contents of the small datasets in conftest.py."""

import struct
import zlib

import numpy as np

SPLITS = {"train": 6, "val": 4, "test": 3}


def picture(seed: int, height: int = 12, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def indices(seed: int, count: int, height: int = 12, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, count, (height, width), dtype=np.uint8)


def huge_png(width: int, height: int) -> bytes:
    """A file of some bytes whose header promises a picture of 1 bit per pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
