"""Stage of the dilated transformer: position encoding, then blocks of local and global scope in turn."""

from collections.abc import Sequence

from jaxtyping import Float
from timm.layers import DropPath
from torch import Tensor, nn

from visionkit.layers.blocks import CONV
from visionkit.layers.dilated_attention import DilatedAttention


class DilatedStage(nn.Module):
    """Stage of Wu et al. 2022, "D-Former", figure 2: DPE, then LSM and GSM blocks alternately.

    Args:
        channels: channels of the tokens.
        heads: heads of each attention.
        group: tokens of a group along each axis.
        drop_paths: stochastic depth of each block, 0..1; there are as many blocks.
        mlp_ratio: hidden channels of the perceptrons over channels.
    """

    def __init__(
        self, channels: int, heads: int, group: Sequence[int], drop_paths: Sequence[float], mlp_ratio: float = 4.0
    ) -> None:
        super().__init__()
        self.position = PositionEncoding(channels, len(group))
        self.blocks = nn.Sequential(
            *(
                DilatedBlock(channels, heads, group, dilated=index % 2 == 1, mlp_ratio=mlp_ratio, drop_path=rate)
                for index, rate in enumerate(drop_paths)
            )
        )

    def forward(self, tokens: Float[Tensor, "b *space c"]) -> Float[Tensor, "b *space c"]:
        """The same size."""
        return self.blocks(self.position(tokens))


class DilatedBlock(nn.Module):
    """Attention within groups and a perceptron, each behind a normalisation and beside a shortcut.

    Args:
        channels: channels of the tokens.
        heads: heads of the attention.
        group: tokens of a group along each axis.
        dilated: global scope, else local scope.
        mlp_ratio: hidden channels of the perceptron over channels.
        drop_path: stochastic depth, 0..1.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        group: Sequence[int],
        dilated: bool,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = int(mlp_ratio * channels)
        self.norm1 = nn.LayerNorm(channels)
        self.attention = DilatedAttention(channels, heads, group, dilated)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, tokens: Float[Tensor, "b *space c"]) -> Float[Tensor, "b *space c"]:
        """The same size."""
        tokens = tokens + self.drop_path(self.attention(self.norm1(tokens)))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))


class PositionEncoding(nn.Module):
    """Dynamic position encoding: a depthwise 3x3 convolution beside a shortcut (Chu et al. 2021, arXiv 2102.10882).

    Args:
        channels: channels of the tokens.
        spatial_dims: 2 for pictures, 3 for volumes.
    """

    def __init__(self, channels: int, spatial_dims: int) -> None:
        super().__init__()
        self.conv = CONV[spatial_dims](channels, channels, 3, padding=1, groups=channels)

    def forward(self, tokens: Float[Tensor, "b *space c"]) -> Float[Tensor, "b *space c"]:
        """The same size."""
        return tokens + self.conv(tokens.movedim(-1, 1)).movedim(1, -1)


def initialise(module: nn.Module) -> None:
    """Linear layers from a truncated normal of deviation 0.02, without bias; for ``nn.Module.apply``."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
