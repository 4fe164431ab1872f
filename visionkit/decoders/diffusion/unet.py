"""The denoiser of DiffusionEdge: a conditional U-Net with one path down and two up, for drift and for noise."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.decoders.diffusion.blocks import FullAttention, LinearAttention, TimedResidual, group_norm
from visionkit.decoders.diffusion.fourier import FourierFilter
from visionkit.decoders.diffusion.relation import Relation
from visionkit.decoders.diffusion.time import TimeEmbedding
from visionkit.errors import ConfigError
from visionkit.generation.decoupled_diffusion import preconditioned
from visionkit.layers.dims import require_pictures
from visionkit.layers.padding import pad_to_multiple
from visionkit.layers.resample import Resample
from visionkit.types import Features, Stride

Map = Float[Tensor, "b c h w"]


class Condition(NamedTuple):
    """What the denoiser is told of a picture; the same at every time."""

    first: Map
    """The encoder's map at the stride of the latent."""
    maps: list[Map]
    """For each level the encoder's map in the channels of the level."""


class DiffusionUNet(nn.Module):
    """Predicts drift and noise of a noisy latent from a picture's features (Ye et al. 2024, figure 2).

    The encoder's maps are resampled to the strides of the levels and padded by their last row and column until all
    levels halve without rest; the latent is of the size of the finest of them.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2.
        latent_channels: of the latent.
        stride: of the latent, and so of the finest level.
        width: channels of the finest level, a multiple of eight.
        multipliers: of the width, for what each level hands down; each is half as large as the one before.
        frequencies_scale: see ``TimeEmbedding``.
        grid: height and width of the coarsest level in training, on which its filters are learnt.
        dropout: in the relation layers.

    Raises ConfigError: C83 for volumes, C155 for a grid that is none, C156 for a width that is no multiple of eight.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        latent_channels: int = 3,
        stride: int = 4,
        width: int = 128,
        multipliers: Sequence[int] = (1, 2, 4, 4),
        frequencies_scale: float = 16.0,
        grid: tuple[int, int] = (10, 10),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        require_pictures(type(self).__name__, spatial_dims)
        if width < 8 or width % 8:
            raise ConfigError("C156", "decoder.denoiser.width", f"{width} is no multiple of 8", "give one, such as 32")
        self.latent_channels = latent_channels
        levels, time = len(multipliers), 4 * width
        widths = [width, *(width * factor for factor in multipliers)]
        self.windows = [2 ** (levels - 1 - level) for level in range(levels)]
        self.resample = Resample(channels, strides, [stride * 2**level for level in range(levels)])
        conditions = self.resample.channels
        self.project = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(conditions, widths, strict=False))
        self.stem = nn.Sequential(nn.Conv2d(latent_channels + conditions[0], width, 7, padding=3), group_norm(width))
        self.time = TimeEmbedding(width // 2, time, frequencies_scale)
        steps = list(zip(widths, widths[1:], self.windows, strict=False))
        self.down = nn.ModuleList(_Down(a, b, time, window, dropout, window > 1) for a, b, window in steps)
        self.middle_in, self.middle_out = (TimedResidual(widths[-1], widths[-1], time) for _ in range(2))
        self.attention = FullAttention(widths[-1])
        self.drift, self.noise = (_Up(steps, time, latent_channels, grid, dropout) for _ in range(2))

    def condition(self, features: Features) -> Condition:
        """What the encoder's maps say, computed once for a picture."""
        maps = self.resample(features)
        maps = [pad_to_multiple(x, window) for x, window in zip(maps, self.windows, strict=True)]
        return Condition(maps[0], [project(x) for project, x in zip(self.project, maps, strict=True)])

    def forward(self, latent: Map, time: Float[Tensor, "b"], condition: Condition) -> tuple[Map, Map]:
        """Drift and noise of a latent of the size of the finest condition, at times in (0, 1].

        Latent and time may be more precise than the weights; results are as precise as the latent.
        """
        embedded = self.time(time)
        x = stem = self.stem(torch.cat([latent.to(next(self.stem.parameters()).dtype), condition.first], 1))
        skips: list[Map] = []
        for down, guide in zip(self.down, condition.maps, strict=True):
            x = down(x, embedded, guide, skips)
        x = self.middle_out(self.attention(self.middle_in(x, embedded)), embedded)
        drift, noise = (up(x, stem, embedded, condition.maps, skips) for up in (self.drift, self.noise))
        return preconditioned(latent, drift.to(latent.dtype), noise.to(latent.dtype), time)


class _Down(nn.Module):
    """A level on the way down: its two maps are kept as skips, the next one is half as large unless it is the last."""

    def __init__(
        self, in_channels: int, out_channels: int, time: int, window: int, dropout: float, halve: bool
    ) -> None:
        super().__init__()
        self.first, self.second = (TimedResidual(in_channels, in_channels, time) for _ in range(2))
        self.relation = Relation(in_channels, in_channels, window, dropout)
        self.attention = LinearAttention(in_channels)
        self.out = nn.Conv2d(in_channels, out_channels, *((4, 2, 1) if halve else (3, 1, 1)))

    def forward(self, features: Map, time: Tensor, condition: Map, skips: list[Map]) -> Map:
        """The next level's map; two skips are added to the list."""
        features = self.first(features, time)
        skips.append(features)
        features = self.attention(self.second(self.relation(condition, features), time))
        skips.append(features)
        return self.out(features)


class _Level(nn.Module):
    """A level on the way up."""

    def __init__(
        self, in_channels: int, out_channels: int, time: int, window: int, dropout: float, double: bool
    ) -> None:
        super().__init__()
        both = in_channels + out_channels
        self.first, self.second = (TimedResidual(both, out_channels, time) for _ in range(2))
        self.relation = Relation(in_channels, out_channels, window, dropout)
        self.attention = LinearAttention(out_channels)
        enlarge = nn.Upsample(scale_factor=2, mode="nearest") if double else nn.Identity()
        self.out = nn.Sequential(enlarge, nn.Conv2d(out_channels, in_channels, 3, padding=1))

    def forward(self, features: Map, time: Tensor, condition: Map, near: Map, far: Map) -> Map:
        """The next finer level's map; ``near`` and ``far`` are the skips, the later one first."""
        features = self.relation(condition, self.first(torch.cat([features, near], 1), time))
        return self.out(self.attention(self.second(torch.cat([features, far], 1), time)))


class _Up(nn.Module):
    """The way up to one of the two outputs, begun by a filter of frequencies."""

    def __init__(
        self,
        steps: Sequence[tuple[int, int, int]],
        time: int,
        out_channels: int,
        grid: tuple[int, int],
        dropout: float,
    ) -> None:
        super().__init__()
        width, deep = steps[0][0], steps[-1][1]
        self.filter = nn.Sequential(group_norm(deep), nn.Conv2d(deep, deep, 3, padding=1), FourierFilter(deep, grid))
        self.levels = nn.ModuleList(
            _Level(a, b, time, window, dropout, index > 0) for index, (a, b, window) in enumerate(steps)
        )
        self.last = TimedResidual(2 * width, width, time)
        self.out = nn.Conv2d(width, out_channels, 1)

    def forward(self, features: Map, stem: Map, time: Tensor, conditions: Sequence[Map], skips: Sequence[Map]) -> Map:
        """The raw output, of the stem's size."""
        features = features + self.filter(features).to(features.dtype)
        for index in reversed(range(len(self.levels))):
            features = self.levels[index](features, time, conditions[index], skips[2 * index + 1], skips[2 * index])
        return self.out(self.last(torch.cat([features, stem], 1), time))
