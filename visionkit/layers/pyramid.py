"""Simple feature pyramid: several strides from the maps of a plain encoder, which have only one."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.layers.blocks import MAX_POOL, TRANSPOSED_CONV, ChannelNorm
from visionkit.layers.strides import joined, per_axis
from visionkit.types import Stride


def pyramid_strides(stride: Stride, spatial_dims: int = 2) -> tuple[Stride, ...]:
    """Strides of the pyramid over a map of the given stride: its quarter, half, itself and its double.

    Quarter and half are left out where they are no whole number along every axis.
    """
    axes = per_axis(stride, spatial_dims)
    factors = [factor for factor in (4, 2) if not any(length % factor for length in axes)]
    finer = (joined([length // factor for length in axes]) for factor in factors)
    return (*finer, joined(axes), joined([2 * length for length in axes]))


class SimplePyramid(nn.Module):
    """Maps of one stride to maps of up to four strides (Li et al. 2022, "Exploring Plain Vision Transformer
    Backbones for Object Detection", section 3).

    A map is made finer by transposed convolutions that halve the channels, and coarser by max pooling.
    Each is normalised first, because the blocks of a plain encoder pass on sums of growing size.

    Args:
        channels: channels of the incoming maps.
        stride: stride of the incoming maps.
        spatial_dims: 2 for pictures, 3 for volumes.
    """

    def __init__(self, channels: int, stride: Stride, spatial_dims: int = 2) -> None:
        super().__init__()
        self.strides = pyramid_strides(stride, spatial_dims)
        own = len(self.strides) - 2
        doublings = [max(0, own - level) for level in range(len(self.strides))]
        self.channels = tuple(channels >> n for n in doublings)
        levels = [nn.Sequential(ChannelNorm(channels), *_finer(channels, n, spatial_dims)) for n in doublings]
        levels[-1].append(MAX_POOL[spatial_dims](2))
        self.levels = nn.ModuleList(levels)

    def forward(self, maps: Sequence[Float[Tensor, "b c *space"]]) -> list[Float[Tensor, "b _ *level_space"]]:
        """One map for each level, or a single one for all; an even size divides exactly."""
        maps = list(maps) * len(self.levels) if len(maps) == 1 else maps
        return [level(features) for level, features in zip(self.levels, maps, strict=True)]


class PlainMap(nn.Module):
    """The one map of a plain encoder, normalised: what a decoder reads that needs no pyramid.

    Args:
        channels, stride: of the map.
    """

    def __init__(self, channels: int, stride: Stride) -> None:
        super().__init__()
        self.channels, self.strides = (channels,), (stride,)
        self.norm = ChannelNorm(channels)

    def forward(self, maps: Sequence[Float[Tensor, "b c *space"]]) -> list[Float[Tensor, "b c *space"]]:
        """The last of the maps."""
        return [self.norm(maps[-1])]


def _finer(channels: int, doublings: int, spatial_dims: int) -> list[nn.Module]:
    steps: list[nn.Module] = []
    for step in range(doublings):
        before, after = channels >> step, channels >> (step + 1)
        if step:
            steps += [ChannelNorm(before), nn.GELU()]
        steps.append(TRANSPOSED_CONV[spatial_dims](before, after, kernel_size=2, stride=2))
    return steps
