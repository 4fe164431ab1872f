"""What the decoders of density share: convolutions as published, and the encoder's maps as they want them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.layers.resample import Resample
from visionkit.types import Stride


def conv(channels: int, out_channels: int, kernel_size: int, norm: bool = True, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU; as published, the convolution has a bias although it needs none."""
    padding = dilation * (kernel_size // 2)
    first = nn.Conv2d(channels, out_channels, kernel_size, padding=padding, dilation=dilation)
    if not norm:
        return nn.Sequential(first, nn.ReLU())
    small(first)
    return nn.Sequential(first, nn.BatchNorm2d(out_channels), nn.ReLU())


def small(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, its weights with a deviation of 0.01 and its bias 0."""
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def step(channels: int, out_channels: int, norm: bool = True) -> nn.Sequential:
    """A 1x1 convolution, then a 3x3 one."""
    return nn.Sequential(conv(channels, out_channels, 1, norm), conv(out_channels, out_channels, 3, norm))


def grown(features: Float[Tensor, "b c h w"], size: Sequence[int]) -> Float[Tensor, "b c new_h new_w"]:
    """Bilinearly enlarged, corner to corner."""
    return F.interpolate(features, size=tuple(size), mode="bilinear", align_corners=True)


class Maps(nn.Module):
    """The encoder's maps, at other strides where that is asked for, and through a neck where there is one.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        at: strides at which they are resampled first; None takes them as they are. Where they are fewer than two, or
            than the ``least`` of the neck, averages over two cells follow.
        neck: called as ``neck(channels=, strides=)``; has ``channels`` and ``strides`` of what it makes of the maps.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        at: Sequence[Stride] | None = None,
        neck: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        wanted = list(strides if at is None else at)
        while len(wanted) < getattr(getattr(neck, "func", neck), "least", 2):
            last = wanted[-1]
            wanted.append(last * 2 if isinstance(last, int) else tuple(2 * axis for axis in last))
        self.resample = Resample(channels, strides, wanted)
        self.channels, self.strides = self.resample.channels, self.resample.strides
        self.neck = None if neck is None else neck(channels=self.channels, strides=self.strides)
        if self.neck is not None:
            self.channels, self.strides = self.neck.channels, self.neck.strides

    def forward(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Any:
        """Maps with ``channels`` at ``strides``, finest first, or what else the neck makes of them."""
        maps = self.resample(features)
        return maps if self.neck is None else self.neck(maps)


class DualHeads(nn.Module):
    """Density from a map that attention from another map has masked (SFANet, Zhu et al. 2019, section 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(small(nn.Conv2d(channels, 1, 1)), nn.BatchNorm2d(1))
        self.density = small(nn.Conv2d(channels, 1, 1))

    def forward(
        self, density: Float[Tensor, "b c h w"], attention: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b 2 h w"]:
        """Density, and logits of attention."""
        logits = self.attention(attention)
        return torch.cat([self.density(logits.sigmoid() * density), logits], 1)
