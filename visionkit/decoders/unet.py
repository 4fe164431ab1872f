"""U-Net decoder: from the coarsest map up, joined with the encoder's map at every stride."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.layers.blocks import ConvNormAct
from visionkit.layers.resample import Resample
from visionkit.layers.strides import joined, per_axis, reaches
from visionkit.types import Stride


class UNet(nn.Module):
    """Decoder of Ronneberger et al. 2015, "U-Net", over the maps of any encoder.

    By default it ends at the encoder's finest stride and leaves the rest to the upsampling of the logits: beyond it
    there is no map to join, and convolutions at full resolution cost more than half as much as all before them.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2 for pictures, 3 for volumes.
        widths: channels of the blocks, coarsest first; where they are fewer than the blocks the last is repeated.
        stride: stride of the output. None: the encoder's finest. Finer than that: blocks are added, each twice
            the size along the axes that need it and without a map to join (1 is the classical full resolution).
            Coarser: maps that are finer along every axis are not used.
        at: strides at which the encoder's maps are resampled first; None takes them as they are.
        norm: makes the normalisation from a number of channels; batch normalisation when None.
        act: makes the activation.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        widths: Sequence[int] = (256, 128, 64, 32, 16),
        stride: Stride | None = None,
        at: Sequence[Stride] | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        act: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.resample = Resample(channels, strides, strides if at is None else at, spatial_dims)
        channels, strides = self.resample.channels, self.resample.strides
        target = strides[0] if stride is None else stride
        self.skips = [
            index for index in reversed(range(len(strides) - 1)) if reaches(strides[index], target, spatial_dims)
        ]
        levels = [strides[index] for index in self.skips]
        added, self.factors = _enlarged(levels[-1] if levels else strides[-1], target, spatial_dims)
        skipped = [channels[index] for index in self.skips] + [0] * len(self.factors)
        conv = partial(ConvNormAct, spatial_dims=spatial_dims, norm=norm, act=act)
        outs = [channels[-1], *(widths[min(step, len(widths) - 1)] for step in range(len(skipped)))]
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(before + skip, after), conv(after, after))
            for before, skip, after in zip(outs[:-1], skipped, outs[1:], strict=True)
        )
        self.deep_channels = tuple(outs[:0:-1]) or (outs[0],)
        self.deep_strides = tuple(reversed(levels + added)) or (strides[-1],)
        self.out_channels, self.stride = self.deep_channels[0], self.deep_strides[0]

    def forward(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> Float[Tensor, "b c *space"]:
        """Map at ``self.stride`` with ``self.out_channels`` channels."""
        return self.deep(features)[0]

    def deep(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> list[Float[Tensor, "b _ *level"]]:
        """The map after every block, finest first: ``self.deep_channels`` at ``self.deep_strides``."""
        features = self.resample(features)
        x, maps = features[-1], []
        for step, block in enumerate(self.blocks):
            if step < len(self.skips):
                skip = features[self.skips[step]]
                x = torch.cat([F.interpolate(x, size=skip.shape[2:], mode="nearest"), skip], dim=1)
            else:
                x = F.interpolate(x, scale_factor=self.factors[step - len(self.skips)], mode="nearest")
            x = block(x)
            maps.append(x)
        return maps[::-1] or [x]


def _enlarged(stride: Stride, target: Stride, dims: int) -> tuple[list[Stride], list[tuple[float, ...]]]:
    """Halves a stride along every axis until none is twice the target: the strides and the factors of each step."""
    axes, floor = per_axis(stride, dims), per_axis(target, dims)
    strides: list[Stride] = []
    factors: list[tuple[float, ...]] = []
    while any(have >= 2 * want for have, want in zip(axes, floor, strict=True)):
        factor = [2 if have >= 2 * want else 1 for have, want in zip(axes, floor, strict=True)]
        axes = tuple(have // by for have, by in zip(axes, factor, strict=True))
        strides.append(joined(axes))
        factors.append(tuple(float(by) for by in factor))
    return strides, factors
