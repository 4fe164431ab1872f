"""Decoder of FFNet: a top-down path whose maps are concatenated, and one convolution."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.errors import ConfigError, nearest
from visionkit.layers.blocks import ConvNormAct, small_normal
from visionkit.layers.dims import require_pictures
from visionkit.layers.resample import Resample
from visionkit.layers.strides import per_axis
from visionkit.types import Stride


class FFNetHead(nn.Module):
    """Up-head and first convolution of the segmentation head of FFNet (Mehta et al. 2022, arXiv 2206.08236).

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2; the network is one for pictures.
        base: channels of the four maps on the way down, finest first.
        widths: channels of the four smoothed maps, finest first.
        width: channels of the last convolution.
        mode: how maps are enlarged, ``bilinear`` (corners aligned, as published) or ``nearest`` (mobile networks).
        at: strides at which the encoder's maps are resampled first; None takes its finest one and three doublings.

    Raises ConfigError C83 for volumes, C75 for any other number of strides than four and for an unknown ``mode``.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        base: Sequence[int] = (64, 128, 256, 512),
        widths: Sequence[int] = (128, 128, 128, 128),
        width: int = 512,
        mode: str = "bilinear",
        at: Sequence[Stride] | None = None,
    ) -> None:
        super().__init__()
        require_pictures("FFNet's decoder", spatial_dims)
        finest = max(*per_axis(strides[0], 2), 4)
        at = tuple(finest << level for level in range(4)) if at is None else at
        if len(at) != 4:
            raise ConfigError(
                "C75", "decoder.at", f"{len(at)} strides, where there must be four", "such as [4,8,16,32]"
            )
        self.resample = Resample(channels, strides, at, spatial_dims)
        self.stride, self.out_channels = at[0], width
        if mode not in ("bilinear", "nearest"):
            raise ConfigError("C75", "decoder.mode", f"there is no {mode!r}", nearest(mode, ("bilinear", "nearest")))
        self.mode, self.align_corners = mode, True if mode == "bilinear" else None
        self.adapters = nn.ModuleList(ConvNormAct(a, b, 1) for a, b in zip(self.resample.channels, base, strict=True))
        self.up = nn.ModuleList(ConvNormAct(base[level + 1], base[level], 1) for level in range(3))
        self.smooth = nn.ModuleList(ConvNormAct(a, b) for a, b in zip(base, widths, strict=True))
        # This convolution alone has a bias in the published network.
        self.last = nn.Sequential(nn.Conv2d(sum(widths), width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.apply(small_normal)

    def forward(self, features: Sequence[Float[Tensor, "b _ h w"]]) -> Float[Tensor, "b c h w"]:
        """Map at ``self.stride`` with ``self.out_channels`` channels."""
        maps = [adapt(x) for adapt, x in zip(self.adapters, self.resample(features), strict=True)]
        for level in (2, 1, 0):
            maps[level] = self._resized(self.up[level](maps[level + 1]), maps[level]) + maps[level]
        smoothed = [smooth(x) for smooth, x in zip(self.smooth, maps, strict=True)]
        return self.last(torch.cat([self._resized(x, smoothed[0]) for x in smoothed], 1))

    def _resized(self, features: Tensor, like: Tensor) -> Tensor:
        if features is like:
            return features
        return F.interpolate(features, size=like.shape[2:], mode=self.mode, align_corners=self.align_corners)
