"""Strings of real handwritten digits (Alpaydin and Kaynak 1998, as scikit-learn holds them), 8 x 8 pixels each."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8

from visionkit.datasets.line_splits import check_split
from visionkit.datasets.listing import Share
from visionkit.errors import ConfigError, ResourceError, nearest
from visionkit.seeding import generator
from visionkit.types import Charset, Sample

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
        """Height and width of a picture as they are likely to be, without drawing it."""
        return self.height, max(1, len(self._chosen(index)) * self.height * 3 // 4)

    def __getitem__(self, index: int) -> Sample:
        """Draws one sample: image uint8 c h w, valid bool h w, text."""
        key, chosen = self.key(index), self._chosen(index)
        rng = generator(self.seed, "digits", key)
        ink = _in_a_row([self.images[number] for number in chosen], rng, self.height)
        ink = ink * np.float32(rng.uniform(0.6, 1.0)) + rng.standard_normal(ink.shape, dtype=np.float32) * np.float32(6)
        picture = np.clip(np.float32(rng.uniform(215, 255)) - ink, 0, 255).astype(np.uint8)
        return {
            "key": key,
            "path": "",
            "image": torch.from_numpy(picture)[None].repeat(self.channels, 1, 1),
            "valid": torch.ones(picture.shape, dtype=torch.bool),
            "text": "".join(str(self.values[number]) for number in chosen),
        }

    def _chosen(self, index: int) -> list[int]:
        """Which of the split's digits stand in a sample."""
        rng = generator(self.seed, "numbers", self.key(index))
        return rng.integers(len(self.values), size=int(rng.integers(self.fewest, self.most + 1))).tolist()


def _in_a_row(
    digits: Sequence[UInt8[np.ndarray, "8 8"]], rng: np.random.Generator, height: int
) -> UInt8[np.ndarray, "height w"]:
    """Ink, 0..255. Digits are scaled one by one; where two overlap the darker ink counts."""
    sizes = [tuple(int(scale * height) for scale in rng.uniform((0.6, 0.5), (0.95, 0.9))) for _ in digits]
    gaps = (rng.uniform(-0.08, 0.25, len(digits) + 1) * height).astype(int)
    gaps[0], gaps[-1] = abs(gaps[0]), abs(gaps[-1])
    width = max(height // 2, sum(columns for _, columns in sizes) + int(gaps.sum()))
    ink, left = np.zeros((height, width), dtype=np.uint8), int(gaps[0])
    for digit, (rows, columns), gap in zip(digits, sizes, gaps[1:], strict=True):
        top = int(rng.integers(height - rows + 1))
        window = ink[top : top + rows, left : left + columns]
        scaled = cv2.resize(digit, (columns, rows), interpolation=cv2.INTER_CUBIC)
        np.maximum(window, scaled[:, : window.shape[1]], out=window)
        left += columns + int(gap)
    return ink


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
