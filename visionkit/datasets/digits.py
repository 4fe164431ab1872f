"""Strings of real handwritten digits (Alpaydin and Kaynak 1998, as scikit-learn holds them), 8 x 8 pixels each."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8

from visionkit.datasets.line_splits import check_split
from visionkit.datasets.listing import Share
from visionkit.errors import ConfigError, ResourceError, nearest
from visionkit.labels import Charset
from visionkit.seeding import generator
from visionkit.types import Sample

_SHARES = Share((0.7, 0.1, 0.2))


class DigitStrings:
    """A few digits in a row with uneven sizes, places and gaps, dark on bright; no digit's picture is in two splits.

    Args:
        split: train, val or test.
        channels: 3 for colour (all channels alike), 1 for grey.
        length: samples, or samples by split.
        digits: fewest and most digits.
        height: in pixels.
        seed: another seed is another dataset of the same digits.

    Raises:
        ConfigError: C50 channels, C52 unknown split or one without length, C187 height, C189 number of digits.
        ResourceError: R14 scikit-learn is not installed.
    """

    def __init__(
        self,
        split: str,
        channels: int = 1,
        length: int | Mapping[str, int] = 4000,
        digits: Sequence[int] = (2, 6),
        height: int = 32,
        seed: int = 0,
    ) -> None:
        check_split(split)
        if channels not in (1, 3):
            what = f"pictures cannot have {channels} channels"
            raise ConfigError("C50", "dataset.channels", what, "set it to 1 or 3")
        if isinstance(length, Mapping) and split not in length:
            raise ConfigError("C52", "dataset.layout.length", f"no length for {split!r}", nearest(split, length))
        if height < 8:
            what = f"{height} is too low for digits of 8 pixels"
            raise ConfigError("C187", "dataset.layout.height", what, "set it to 8 or more")
        self.fewest, self.most = digits
        if not 0 <= self.fewest <= self.most:
            what = f"{list(digits)} are no numbers of digits"
            raise ConfigError("C189", "dataset.layout.digits", what, "write [fewest, most]")
        self.split, self.channels, self.height, self.seed = split, channels, height, seed
        self.length = length[split] if isinstance(length, Mapping) else length
        self.labels = {"text": Charset(tuple("0123456789"))}
        images, values = _scanned()
        mine = [number for number in range(len(values)) if _SHARES.split(f"digit {number}") == split]
        self.images, self.values = images[mine], values[mine]

    def __len__(self) -> int:
        return self.length

    def key(self, index: int) -> str:
        """Split and number."""
        return f"{self.split}_{range(self.length)[index]:06d}"

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of a picture, without drawing it."""
        return self.height, self._planned(index).width

    def __getitem__(self, index: int) -> Sample:
        """Draws one sample: image uint8 c h w, valid bool h w, text."""
        key, row = self.key(index), self._planned(index)
        rng = generator(self.seed, "digits", key)
        ink = np.zeros((self.height, row.width), dtype=np.uint8)
        for number, left, rows, columns in zip(row.numbers, row.lefts, row.heights, row.widths, strict=True):
            top = int(rng.integers(self.height - rows + 1))
            window = ink[top : top + rows, left : left + columns]
            scaled = cv2.resize(self.images[number], (columns, rows), interpolation=cv2.INTER_CUBIC)
            np.maximum(window, scaled, out=window)  # where two overlap the darker ink counts
        shade = ink * np.float32(rng.uniform(0.6, 1.0)) + rng.standard_normal(ink.shape, dtype=np.float32) * 6
        picture = np.clip(np.float32(rng.uniform(215, 255)) - shade, 0, 255).astype(np.uint8)
        return {
            "key": key,
            "path": "",
            "image": torch.from_numpy(picture)[None].repeat(self.channels, 1, 1),
            "valid": torch.ones(picture.shape, dtype=torch.bool),
            "text": "".join(str(self.values[number]) for number in row.numbers),
        }

    def _planned(self, index: int) -> "_Row":
        """Which digits stand where: known before anything is drawn, so that like widths share batches."""
        rng, height = generator(self.seed, "numbers", self.key(index)), self.height
        count = int(rng.integers(self.fewest, self.most + 1))
        heights = (rng.uniform(0.6, 0.95, count) * height).astype(int)
        widths = (rng.uniform(0.5, 0.9, count) * height).astype(int)
        gaps = (rng.uniform(-0.08, 0.25, count) * height).astype(int)
        gaps[:1] = np.abs(gaps[:1])
        lefts = np.cumsum(gaps) + np.cumsum(widths) - widths
        end = int((lefts + widths).max(initial=0) + rng.uniform(0, 0.25) * height)
        numbers = rng.integers(len(self.values), size=count).tolist()
        return _Row(numbers, lefts.tolist(), heights.tolist(), widths.tolist(), max(height // 2, end))


class _Row(NamedTuple):
    """A row of digits: which they are, where they begin, how large they are, and the picture's width, all in pixels."""

    numbers: list[int]
    lefts: list[int]
    heights: list[int]
    widths: list[int]
    width: int


@lru_cache(maxsize=1)
def _scanned() -> tuple[UInt8[np.ndarray, "n 8 8"], Int64[np.ndarray, "n"]]:
    """Ink 0..255 of 1797 digits, and what they are."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        what = "the package scikit-learn is not installed"
        raise ResourceError("R14", "", what, "pip install 'visionkit[digits]'") from error
    images, values = load_digits(return_X_y=True)
    return (images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), values.astype(np.int64)
