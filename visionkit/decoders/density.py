"""Density from the map of any decoder."""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.decoders.density_parts import small
from visionkit.layers.blocks import ConvNormAct
from visionkit.layers.dims import require_pictures
from visionkit.types import Decoder, Stride


class Density(nn.Module):
    """A 3x3 and a 1x1 convolution on what another decoder gives.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        path: the decoder, such as an FPN or a U-Net.
        spatial_dims: 2.
        width: channels between the two convolutions; None leaves the first out.

    Raises ConfigError C83 for volumes.
    """

    out_channels = 1

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        path: Callable[..., Decoder],
        spatial_dims: int = 2,
        width: int | None = 64,
    ) -> None:
        super().__init__()
        require_pictures(type(self).__name__, spatial_dims)
        self.path = path(channels=channels, strides=strides, spatial_dims=spatial_dims)
        self.stride, before = self.path.stride, self.path.out_channels
        refine = nn.Identity() if width is None else ConvNormAct(before, width)
        self.head = nn.Sequential(refine, small(nn.Conv2d(width or before, 1, 1)))

    def forward(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b 1 h w"]:
        """Density in objects a cell, at ``self.stride``."""
        return self.head(self.path(features))
