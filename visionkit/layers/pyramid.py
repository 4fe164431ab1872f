"""Simple feature pyramid: several strides from the maps of a plain encoder, which have only one."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.layers.blocks import MAX_POOL, TRANSPOSED_CONV, ChannelNorm


def pyramid_strides(stride: int) -> tuple[int, ...]:
    """Strides of the pyramid over a map of the given stride: its quarter, half, itself and its double."""
    finer = tuple(stride // factor for factor in (4, 2) if stride % factor == 0)
    return (*finer, stride, 2 * stride)


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

    def __init__(self, channels: int, stride: int, spatial_dims: int = 2) -> None:
        super().__init__()
        self.strides = pyramid_strides(stride)
        doublings = [max(0, (stride // level).bit_length() - 1) for level in self.strides]
        self.channels = tuple(channels >> n for n in doublings)
        levels = [nn.Sequential(ChannelNorm(channels), *_finer(channels, n, spatial_dims)) for n in doublings]
        levels[-1].append(MAX_POOL[spatial_dims](2))
        self.levels = nn.ModuleList(levels)

    def forward(self, maps: Sequence[Float[Tensor, "b c *space"]]) -> list[Float[Tensor, "b _ *level_space"]]:
        """One map for each level, or a single one for all; an even size divides exactly."""
        maps = list(maps) * len(self.levels) if len(maps) == 1 else maps
        return [level(features) for level, features in zip(self.levels, maps, strict=True)]


def _finer(channels: int, doublings: int, spatial_dims: int) -> list[nn.Module]:
    steps: list[nn.Module] = []
    for step in range(doublings):
        before, after = channels >> step, channels >> (step + 1)
        if step:
            steps += [ChannelNorm(before), nn.GELU()]
        steps.append(TRANSPOSED_CONV[spatial_dims](before, after, kernel_size=2, stride=2))
    return steps
