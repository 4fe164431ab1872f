"""Blocks of transformers over maps with their channels last: mixing of positions, multilayer perceptrons."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    """Multi-head self-attention over all positions between the first axis and the last.

    Args:
        channels: that come in and go out.
        heads: among which they are divided.
        bias: whether queries, keys and values have one.
    """

    def __init__(self, channels: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=bias)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Float[Tensor, "b *space c"]) -> Float[Tensor, "b *space c"]:
        """The same size."""
        parts = self.qkv(x).flatten(1, -2).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        return self.proj(mixed.transpose(1, 2).flatten(2)).view(x.shape)


class MLP(nn.Sequential):
    """Two linear layers with a GELU between them; ``ratio`` times the channels inside."""

    def __init__(self, channels: int, ratio: int = 4) -> None:
        super().__init__(nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels))
