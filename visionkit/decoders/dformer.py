"""D-Former's decoder: expansion, joining with the encoder's maps, and blocks of local and global scope."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from visionkit.errors import ConfigError
from visionkit.layers.dilated_stage import DilatedStage, initialise
from visionkit.layers.patches import PatchExpand
from visionkit.layers.resample import Resample
from visionkit.layers.strides import joined, per_axis
from visionkit.types import Stride


class DFormer(nn.Module):
    """Decoder of Wu et al. 2022, "D-Former" (arXiv 2201.00462), over the maps of any encoder.

    From the coarsest map up, each map is expanded to the next finer stride, joined with the encoder's map by a linear
    layer, and passed through a stage. The finest is normalised and expanded to the size of the image. For deep
    supervision the coarser maps are expanded by as much.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing, each a whole multiple of the one before.
        spatial_dims: 2 for pictures, 3 for volumes.
        depths: blocks of the stages, finest first; where they are fewer than the stages the last is repeated.
        group: tokens that attend to each other, one number or one for each axis; None: 8 along each, but 2 along depth.
        head_channels: channels of a head, as near as the channels of a map divide.
        mlp_ratio: hidden channels of the perceptrons over channels.
        drop_path_rate: stochastic depth of every block, 0..1.
        outputs: maps to be supervised, at most one for each stage; without deep supervision 1.
        at: strides at which the encoder's maps are resampled first; None takes them as they are.
        recompute: in training the last expansions, which need the most memory, are computed again for the gradient.

    Raises ConfigError C80 for a wrong number of axes and C82 for strides that are no multiples.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 3,
        depths: Sequence[int] = (2, 2, 6),
        group: Stride | None = None,
        head_channels: int = 32,
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.0,
        outputs: int = 1,
        at: Sequence[Stride] | None = None,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.resample = Resample(channels, strides, strides if at is None else at, spatial_dims)
        channels, axes = self.resample.channels, [per_axis(stride, spatial_dims) for stride in self.resample.strides]
        group, levels = per_axis(group or (2, 8, 8)[-spatial_dims:], spatial_dims), range(len(axes) - 1)
        self.expands = nn.ModuleList(
            PatchExpand(channels[level + 1], channels[level], _ratio(axes[level + 1], axes[level])) for level in levels
        )
        self.joins = nn.ModuleList(nn.Linear(2 * channels[level], channels[level]) for level in levels)
        self.stages = nn.ModuleList(
            DilatedStage(
                channels[level],
                _heads(channels[level], head_channels),
                group,
                [drop_path_rate] * depths[min(level, len(depths) - 1)],
                mlp_ratio,
            )
            for level in levels
        )
        self.norm = nn.LayerNorm(channels[0])
        count = max(1, min(outputs, len(axes) - 1))
        self.heads = nn.ModuleList(PatchExpand(width, width, axes[0]) for width in channels[:count])
        self.deep_channels = tuple(channels[:count])
        self.deep_strides = tuple(joined(_ratio(stride, axes[0])) for stride in axes[:count])
        self.out_channels, self.stride = self.deep_channels[0], self.deep_strides[0]
        self.recompute = recompute
        self.apply(initialise)

    def forward(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> Float[Tensor, "b c *space"]:
        """Map at ``self.stride`` with ``self.out_channels`` channels."""
        return self._enlarged(0, self._maps(features)[0])

    def deep(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> list[Float[Tensor, "b _ *level"]]:
        """Maps with ``self.deep_channels`` at ``self.deep_strides``, finest first."""
        maps = self._maps(features)
        return [self._enlarged(level, maps[level]) for level in range(len(self.heads))]

    def _maps(self, features: Sequence[Tensor]) -> list[Float[Tensor, "b *level _"]]:
        """Of the finest level what its stage gives, of the others what theirs takes, before it is joined."""
        *skips, x = (features_.movedim(1, -1) for features_ in self.resample(features))
        maps = []
        for level in reversed(range(len(skips))):
            x = self.expands[level](x)
            maps.append(x)
            x = self.stages[level](self.joins[level](torch.cat([x, skips[level]], -1)))
        return [self.norm(x), *maps[::-1][1:]]

    def _enlarged(self, level: int, tokens: Float[Tensor, "b *level c"]) -> Float[Tensor, "b c *space"]:
        head = self.heads[level]
        x = checkpoint(head, tokens, use_reentrant=False) if self.recompute and self.training else head(tokens)
        return x.movedim(-1, 1)


def _ratio(coarse: tuple[int, ...], fine: tuple[int, ...]) -> tuple[int, ...]:
    if any(a % b for a, b in zip(coarse, fine, strict=True)):
        what = f"stride {list(coarse)} is no whole multiple of {list(fine)}"
        raise ConfigError("C82", "decoder.at", what, "name strides that are, such as [4,8,16,32]")
    return tuple(a // b for a, b in zip(coarse, fine, strict=True))


def _heads(channels: int, wanted: int) -> int:
    """The number of heads that divides the channels and brings each nearest to the wanted number of channels."""
    divisors = [n for n in range(1, channels + 1) if channels % n == 0]
    return min(divisors, key=lambda n: abs(channels // n - wanted))
