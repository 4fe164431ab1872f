"""Intensities of whole volumes brought to one scale: pure, and applied alike in training and in prediction."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from visionkit.errors import ConfigError
from visionkit.types import Intensity, Sample

_FLAT = 1e-8
"""Deviation, relative to the largest value, below which a channel counts as constant."""


@dataclass(frozen=True)
class ZScore:
    """Each channel to mean 0 and deviation 1 over the volume: for MR, whose scale means nothing. Constant becomes 0.

    Args:
        nonzero: take voxels of value 0 for background: they stay 0, and the statistics leave them out.
    """

    nonzero: bool = False

    def __call__(self, image: Float[Tensor, "c *space"]) -> Float[Tensor, "c *space"]:
        """New tensor, float32."""
        return torch.stack([_standard(channel, channel != 0 if self.nonzero else None) for channel in image])


@dataclass(frozen=True)
class PercentileZScore:
    """``ZScore`` after clipping each channel to two of its percentiles: for MR with bright vessels or artefacts.

    Args:
        low, high: percentiles, 0..100.
        nonzero: as in ``ZScore``, for the percentiles, too.

    Raises ConfigError C59 for percentiles that are none.
    """

    low: float = 0.5
    high: float = 99.5
    nonzero: bool = False

    def __post_init__(self) -> None:
        _require(0 <= self.low < self.high <= 100, f"[{self.low}, {self.high}]", "write 0 <= low < high <= 100")

    def __call__(self, image: Float[Tensor, "c *space"]) -> Float[Tensor, "c *space"]:
        """New tensor, float32."""
        channels = []
        for channel in image:
            chosen = channel != 0 if self.nonzero else torch.ones_like(channel, dtype=torch.bool)
            values = channel[chosen].numpy()
            low, high = np.percentile(values, (self.low, self.high)) if values.size else (0.0, 0.0)
            channels.append(_standard(torch.where(chosen, channel.clamp(low, high), 0.0), chosen))
        return torch.stack(channels)


@dataclass(frozen=True)
class ClipZScore:
    """Clips to fixed values, then subtracts a mean and divides by a deviation: for CT, whose values have a unit.

    nnU-Net (Isensee et al. 2021) takes the 0.5 and 99.5 percentile, the mean and the deviation of the
    foreground of all training volumes.

    Args:
        low, high, mean, std: in the unit of the volumes (Hounsfield units for CT).

    Raises ConfigError C59 for values that are not possible.
    """

    low: float
    high: float
    mean: float
    std: float

    def __post_init__(self) -> None:
        numbers = (self.low, self.high, self.mean, self.std)
        right = all(map(math.isfinite, numbers)) and self.low < self.high and self.std > 0
        _require(right, f"{list(numbers)}", "write finite low < high, mean, and std above 0")

    def __call__(self, image: Float[Tensor, "c *space"]) -> Float[Tensor, "c *space"]:
        """New tensor, float32."""
        return (image.float().clamp(self.low, self.high) - self.mean) / self.std


class WithIntensity:
    """An intensity as a transform of samples; nothing is random."""

    def __init__(self, intensity: Intensity) -> None:
        self.intensity = intensity

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c *space; ``rng`` is not used."""
        return {**sample, "image": self.intensity(sample["image"])}


def _standard(channel: Tensor, chosen: Tensor | None) -> Tensor:
    """Mean 0 and deviation 1 of the chosen voxels; the others become 0."""
    values = (channel if chosen is None else channel[chosen]).double()
    if not values.numel():
        return torch.zeros_like(channel, dtype=torch.float32)
    mean, std = values.mean(), values.std(correction=0)
    flat = std <= _FLAT * values.abs().max()
    scaled = (channel.double() - mean) / torch.where(flat, torch.ones_like(std), std)
    scaled = torch.zeros_like(scaled) if flat else scaled
    return (scaled if chosen is None else torch.where(chosen, scaled, 0.0)).float()


def _require(right: bool, value: str, fix: str) -> None:
    if not right:
        raise ConfigError("C59", f"dataset.intensity={value}", "is not possible", fix)
