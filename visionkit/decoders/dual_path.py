"""Decoders of density made of paths: two, one of which gives attention, or a single one."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.decoders.density_parts import DualHeads, Maps
from visionkit.layers.dims import require_pictures
from visionkit.types import Stride


class DualPath(nn.Module):
    """Two paths of the same kind over the same maps; attention from one masks the other, which gives the density.

    SFANet, M-SFANet and M-SegNet are this with paths and necks of ``decoders.sfanet``, ``msfanet`` and ``segnet``.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        path: called as ``path(channels=)``; has ``out_channels``, and gives a map at the first stride of the maps.
        spatial_dims: 2.
        neck: what is made of the maps before the paths, see ``Maps``.
        at: strides at which the encoder's maps are resampled first; None takes them as they are.

    Raises ConfigError C83 for volumes.
    """

    out_channels = 2

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        path: Callable[..., Any],
        spatial_dims: int = 2,
        neck: Callable[..., Any] | None = None,
        at: Sequence[Stride] | None = None,
    ) -> None:
        super().__init__()
        require_pictures(type(self).__name__, spatial_dims)
        self.maps = Maps(channels, strides, at, neck)
        self.stride = self.maps.strides[0]
        self.attention_path, self.density_path = path(channels=self.maps.channels), path(channels=self.maps.channels)
        self.heads = DualHeads(self.density_path.out_channels)

    def forward(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b 2 h w"]:
        """Density in objects a cell and logits of attention, at ``self.stride``."""
        maps = self.maps(features)
        return self.heads(self.density_path(maps), self.attention_path(maps))


class SinglePath(nn.Module):
    """One path and the absolute value of a 1x1 convolution, as in the variants for UCF-QNRF of M-SFANet and M-SegNet.

    Args:
        channels, strides, path, spatial_dims, neck, at: as of ``DualPath``.
        absolute: whether the density is made positive by its absolute value.

    Raises ConfigError C83 for volumes.
    """

    out_channels = 1

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        path: Callable[..., Any],
        spatial_dims: int = 2,
        neck: Callable[..., Any] | None = None,
        at: Sequence[Stride] | None = None,
        absolute: bool = True,
    ) -> None:
        super().__init__()
        require_pictures(type(self).__name__, spatial_dims)
        self.maps, self.absolute = Maps(channels, strides, at, neck), absolute
        self.stride = self.maps.strides[0]
        self.path = path(channels=self.maps.channels)
        self.density = nn.Conv2d(self.path.out_channels, 1, 1)

    def forward(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b 1 h w"]:
        """Density in objects a cell, at ``self.stride``."""
        density = self.density(self.path(self.maps(features)))
        return density.abs() if self.absolute else density
