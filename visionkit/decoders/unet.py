"""U-Net decoder: from the coarsest map up, joined with the encoder's map at every stride."""

from collections.abc import Sequence

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
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        widths: Sequence[int] = (256, 128, 64, 32, 16),
        stride: Stride | None = None,
        at: Sequence[Stride] | None = None,
    ) -> None:
        super().__init__()
        self.resample = Resample(channels, strides, strides if at is None else at, spatial_dims)
        channels, strides = self.resample.channels, self.resample.strides
        target = strides[0] if stride is None else stride
        self.skips = [
            index for index in reversed(range(len(strides) - 1)) if reaches(strides[index], target, spatial_dims)
        ]
        finest = strides[self.skips[-1]] if self.skips else strides[-1]
        self.stride, self.factors = _enlarged(finest, target, spatial_dims)
        skipped = [channels[index] for index in self.skips] + [0] * len(self.factors)
        blocks, width = [], channels[-1]
        for step, skip in enumerate(skipped):
            after = widths[min(step, len(widths) - 1)]
            blocks.append(_block(width + skip, after, spatial_dims))
            width = after
        self.blocks = nn.ModuleList(blocks)
        self.out_channels = width

    def forward(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> Float[Tensor, "b c *space"]:
        """Map at ``self.stride`` with ``self.out_channels`` channels."""
        features = self.resample(features)
        x = features[-1]
        for step, block in enumerate(self.blocks):
            if step < len(self.skips):
                skip = features[self.skips[step]]
                x = torch.cat([F.interpolate(x, size=skip.shape[2:], mode="nearest"), skip], dim=1)
            else:
                x = F.interpolate(x, scale_factor=self.factors[step - len(self.skips)], mode="nearest")
            x = block(x)
        return x


def _enlarged(stride: Stride, target: Stride, dims: int) -> tuple[Stride, list[tuple[float, ...]]]:
    """Halves a stride along every axis until none is twice the target: the last stride, the factors of each step."""
    axes, floor, factors = per_axis(stride, dims), per_axis(target, dims), []
    while any(have >= 2 * want for have, want in zip(axes, floor, strict=True)):
        factor = [2 if have >= 2 * want else 1 for have, want in zip(axes, floor, strict=True)]
        axes = tuple(have // by for have, by in zip(axes, factor, strict=True))
        factors.append(tuple(float(by) for by in factor))
    return joined(axes), factors


def _block(before: int, after: int, spatial_dims: int) -> nn.Module:
    return nn.Sequential(
        ConvNormAct(before, after, spatial_dims=spatial_dims), ConvNormAct(after, after, spatial_dims=spatial_dims)
    )
