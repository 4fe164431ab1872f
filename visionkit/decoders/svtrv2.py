"""SVTRv2's head: a feature rearrangement module in front of CTC (Du et al. 2025, arXiv 2411.15858, section 3.3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.layers.rows import MLP, SelfAttention

HEAD_CHANNELS = 32


class FeatureRearrangement(nn.Module):
    """Rows are rearranged by attention within each; then each column chooses among its cells what it reads.

    Args:
        channels: of the map.
        vocabulary: tokens that each column may hold, the blank among them.
    """

    def __init__(self, channels: int, vocabulary: int) -> None:
        super().__init__()
        self.rows = RowBlock(channels, heads_of(channels))
        self.token = nn.Parameter(torch.empty(channels))
        self.keys_values = nn.Linear(channels, 2 * channels)
        self.classify = nn.Linear(channels, vocabulary)
        nn.init.trunc_normal_(self.token, std=0.02)

    def forward(self, line: Float[Tensor, "b c h w"]) -> Float[Tensor, "b w v"]:
        """Logits of every column."""
        cells = line.permute(0, 2, 3, 1)
        cells = self.rows(cells.flatten(0, 1)).view(cells.shape)
        keys, values = self.keys_values(cells).chunk(2, -1)
        share = (keys @ self.token).softmax(1)  # over the height alone, and not scaled
        return self.classify((share[..., None] * values).sum(1))


class RowBlock(nn.Module):
    """A transformer block over sequences that are normalised first (pre-norm)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(channels), SelfAttention(channels, heads, bias=False)
        self.norm2, self.mlp = nn.LayerNorm(channels), MLP(channels)

    def forward(self, x: Float[Tensor, "b w c"]) -> Float[Tensor, "b w c"]:
        """The same size."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def heads_of(channels: int) -> int:
    """Heads of about 32 channels: of the numbers that share them equally the nearest, the larger of two as near."""
    wanted = channels / HEAD_CHANNELS
    shares = [heads for heads in range(1, channels + 1) if channels % heads == 0]
    return min(shares, key=lambda heads: (abs(heads - wanted), -heads))
