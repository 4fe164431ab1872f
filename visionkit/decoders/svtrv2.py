"""SVTRv2's head: a feature rearrangement module in front of CTC (Du et al. 2025, arXiv 2411.15858, section 3.3)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.decoders.line_map import LineMap
from visionkit.layers.rows import MLP, SelfAttention
from visionkit.layers.strides import per_axis
from visionkit.types import Stride

_HEAD_CHANNELS = 32


class FeatureRearrangement(nn.Module):
    """Rows are rearranged by attention within each; then each column chooses among its cells what it reads.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2.
        vocabulary: tokens that each column may hold, the blank among them.
        map: makes the map that is read, as ``LineMap``; its channels are whole multiples of 32.

    Raises ConfigError C83 for volumes.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        vocabulary: int = 2,
        map: Callable[..., LineMap] = LineMap,
    ) -> None:
        super().__init__()
        self.map = map(channels=channels, strides=strides, spatial_dims=spatial_dims)
        self.column_px = per_axis(self.map.stride, 2)[1]
        width = self.map.out_channels
        self.rows = RowBlock(width, max(1, width // _HEAD_CHANNELS))
        self.token = nn.Parameter(torch.empty(width))
        self.keys_values = nn.Linear(width, 2 * width)
        self.classify = nn.Linear(width, vocabulary)
        nn.init.trunc_normal_(self.token, std=0.02)

    def forward(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> Float[Tensor, "b t v"]:
        """Logits of every column, each ``column_px`` wide."""
        return self.read(self.map(features))

    def read(self, read_map: Float[Tensor, "b c h w"]) -> Float[Tensor, "b t v"]:
        """Logits from ``self.map``'s result."""
        cells = read_map.permute(0, 2, 3, 1)
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
