"""Random changes of volumes: flips, and changes of intensity. All randomness comes from the given generator."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from visionkit.errors import ConfigError
from visionkit.types import Sample, Transform

_FLAT = 1e-8
"""Range of a channel below which it counts as constant."""


class InOrder:
    """Several transforms as one.

    Args:
        transforms: by name, in their order; None switches one off.
    """

    def __init__(self, transforms: Mapping[str, Transform | None]) -> None:
        self.transforms = {name: transform for name, transform in transforms.items() if transform is not None}

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample changed; the given one stays as it is."""
        for transform in self.transforms.values():
            sample = transform(sample, rng)
        return sample


@dataclass(frozen=True)
class Flip:
    """Mirrors a volume along each of its axes by itself.

    Args:
        axes: 0, 1, 2 for d (up and down), h (back and front), w (left and right).
        p: share of volumes mirrored, for each axis.

    Raises ConfigError C87 for axes that are none, C88 for a share that is none.
    """

    axes: Sequence[int] = (0, 1, 2)
    p: float = 0.5

    def __post_init__(self) -> None:
        if not set(self.axes) <= {0, 1, 2}:
            raise ConfigError("C87", f"dataset.augment.flip.axes={list(self.axes)}", "are no axes", "choose of 0, 1, 2")
        _share("flip", self.p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c d h w, mask and valid d h w."""
        axes = [axis - 3 for axis in self.axes if rng.random() < self.p]
        planes = {key: sample[key].flip(axes) for key in ("image", "mask", "valid") if key in sample}  # type: ignore[literal-required]
        return {**sample, **planes} if axes else sample  # type: ignore[typeddict-item]


@dataclass(frozen=True)
class Gamma:
    """Raises intensities, brought to 0..1 in each channel, to a power; mean and deviation stay (nnU-Net).

    Args:
        power: smallest and largest.
        p: share of volumes.
        p_inverted: share of these whose dark and bright change places for the power.

    Raises ConfigError C88 for a share that is none, C89 for powers that are none.
    """

    power: Sequence[float] = (0.7, 1.5)
    p: float = 0.3
    p_inverted: float = 0.25

    def __post_init__(self) -> None:
        _range("gamma.power", self.power)
        _share("gamma", self.p)
        _share("gamma", self.p_inverted)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c d h w; the rest stays."""
        low, high = map(math.log, self.power)
        power, chosen, inverted = math.exp(rng.uniform(low, high)), rng.random(), rng.random()
        if chosen >= self.p:
            return sample
        sign = -1.0 if inverted < self.p_inverted else 1.0
        return {**sample, "image": torch.stack([_gamma(channel * sign, power) * sign for channel in sample["image"]])}


@dataclass(frozen=True)
class Contrast:
    """Multiplies the distance from each channel's mean, and adds a shift, in units of the channel's deviation.

    Args:
        factor: smallest and largest.
        shift: largest shift up or down.
        p: share of volumes.

    Raises ConfigError C88 for a share that is none, C89 for factors that are none.
    """

    factor: Sequence[float] = (0.75, 1.25)
    shift: float = 0.0
    p: float = 0.15

    def __post_init__(self) -> None:
        _range("contrast.factor", self.factor)
        _share("contrast", self.p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c d h w; the rest stays."""
        (low, high), chosen = self.factor, rng.random()
        factor, shift = rng.uniform(low, high), rng.uniform(-self.shift, self.shift)
        if chosen >= self.p:
            return sample
        mean, std = _moments(sample["image"])
        return {**sample, "image": (sample["image"] - mean) * factor + mean + shift * std}


@dataclass(frozen=True)
class Noise:
    """Adds Gaussian noise.

    Args:
        std: largest deviation, in units of each channel's own; the deviation used lies between 0 and it.
        p: share of volumes.

    Raises ConfigError C88 for a share that is none.
    """

    std: float = 0.1
    p: float = 0.1

    def __post_init__(self) -> None:
        _share("noise", self.p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c d h w; the rest stays."""
        strength, chosen = rng.uniform(0, self.std), rng.random()
        if chosen >= self.p:
            return sample
        noise = torch.from_numpy(rng.standard_normal(tuple(sample["image"].shape), dtype=np.float32))
        return {**sample, "image": sample["image"] + noise * strength * _moments(sample["image"])[1]}


def _gamma(channel: Tensor, power: float) -> Tensor:
    low, span = channel.min(), channel.max() - channel.min()
    if span <= _FLAT:
        return channel
    changed = ((channel - low) / span) ** power
    (old_mean, old_std), (mean, std) = (torch.std_mean(x, correction=0)[::-1] for x in (channel, changed))
    return (changed - mean) * (old_std / std) + old_mean


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, shaped to go with the image."""
    std, mean = torch.std_mean(image, dim=(-3, -2, -1), correction=0, keepdim=True)
    return mean, std


def _share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ConfigError("C88", f"dataset.augment.{name}.p={share}", "is no share", "write a number from 0 to 1")


def _range(name: str, values: Sequence[float]) -> None:
    if len(values) != 2 or not 0 < values[0] <= values[1]:
        fix = "write [smallest, largest], both above 0"
        raise ConfigError("C89", f"dataset.augment.{name}={list(values)}", "is no range", fix)
