"""Side outputs: an edge map from the encoder's map at every stride, and one that fuses them."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.layers.blocks import ConvNormAct
from visionkit.layers.dims import require_pictures
from visionkit.layers.resample import Resample
from visionkit.types import DeepDecoder, Stride


class Sides(nn.Module):
    """Side outputs of HED (Xie and Tu 2015) over the maps of any encoder: a 1x1 convolution to one channel for each.

    They are enlarged bilinearly to the finest of them, where a 1x1 convolution fuses them; it starts as their mean.
    All are logits and meant to be supervised.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2.
        width: channels to which a 3x3 convolution brings each map first (21 in RCF, Liu et al. 2017); None for none.
        path: a decoder with deep maps, whose maps then take the place of the encoder's: a top-down path tells fine
            maps what coarse ones know, and can lead to strides that the encoder lacks.
        at: strides at which the encoder's maps are resampled first; None takes them as they are.

    Raises ConfigError C83 for volumes.
    """

    out_channels = 1

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        width: int | None = None,
        path: Callable[..., DeepDecoder] | None = None,
        at: Sequence[Stride] | None = None,
    ) -> None:
        super().__init__()
        require_pictures(type(self).__name__, spatial_dims)
        self.resample = Resample(channels, strides, strides if at is None else at)
        channels, strides = self.resample.channels, self.resample.strides
        self.path = None if path is None else path(channels=channels, strides=strides, spatial_dims=spatial_dims)
        if self.path is not None:
            channels, strides = self.path.deep_channels, self.path.deep_strides
        self.sides = nn.ModuleList(_side(count, width) for count in channels)
        self.fuse = nn.Conv2d(len(channels), 1, 1)
        nn.init.constant_(self.fuse.weight, 1 / len(channels))
        nn.init.zeros_(self.fuse.bias)  # type: ignore[arg-type]
        self.stride = strides[0]
        self.deep_strides = (self.stride, *strides)
        self.deep_channels = (1,) * len(self.deep_strides)

    def forward(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> Float[Tensor, "b 1 h w"]:
        """The fused map at ``self.stride``."""
        return self.deep(features)[0]

    def deep(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> list[Float[Tensor, "b 1 _ _"]]:
        """The fused map, then the side outputs, finest first: ``self.deep_strides``."""
        maps = self.resample(features)
        maps = maps if self.path is None else self.path.deep(maps)
        outputs = [side(x) for side, x in zip(self.sides, maps, strict=True)]
        size = outputs[0].shape[2:]
        same = [outputs[0], *(F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in outputs[1:])]
        return [self.fuse(torch.cat(same, 1)), *outputs]


def _side(channels: int, width: int | None) -> nn.Module:
    if width is None:
        return nn.Conv2d(channels, 1, 1)
    return nn.Sequential(ConvNormAct(channels, width), nn.Conv2d(width, 1, 1))
