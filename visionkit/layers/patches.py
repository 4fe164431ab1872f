"""Patches: cells of a grid into channels, and channels into finer cells."""

from collections.abc import Sequence
from math import prod

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.layers.dilated_attention import from_groups, pad_end, to_groups


class PatchMerging(nn.Module):
    """Each block of ``ratio`` cells becomes one (Liu et al. 2021, "Swin Transformer", for any number of axes).

    An axis that the ratio does not divide is padded with zeros at its far end.

    Args:
        channels: channels that come in.
        out_channels: channels that go out.
        ratio: cells that become one, along each axis.
    """

    def __init__(self, channels: int, out_channels: int, ratio: Sequence[int]) -> None:
        super().__init__()
        self.ratio = tuple(ratio)
        self.norm = nn.LayerNorm(prod(ratio) * channels)
        self.reduction = nn.Linear(prod(ratio) * channels, out_channels, bias=False)

    def forward(self, tokens: Float[Tensor, "b *space c"]) -> Float[Tensor, "b *coarse c_out"]:
        """``ceil(size / ratio)`` cells along each axis."""
        counts = [(n + step - 1) // step for n, step in zip(tokens.shape[1:-1], self.ratio, strict=True)]
        x = pad_end(tokens, [n * step for n, step in zip(counts, self.ratio, strict=True)])
        x = to_groups(x, self.ratio, dilated=False)
        return self.reduction(self.norm(x.reshape(x.shape[0], *counts, -1)))


class PatchExpand(nn.Module):
    """Each cell becomes a block of ``ratio`` cells (Cao et al. 2021, "Swin-Unet", section 3.5).

    Args:
        channels: channels that come in.
        out_channels: channels that go out.
        ratio: cells that one becomes, along each axis.
    """

    def __init__(self, channels: int, out_channels: int, ratio: Sequence[int]) -> None:
        super().__init__()
        self.ratio = tuple(ratio)
        self.expand = nn.Linear(channels, prod(ratio) * out_channels, bias=False)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, tokens: Float[Tensor, "b *space c"]) -> Float[Tensor, "b *fine c_out"]:
        """``size * ratio`` cells along each axis."""
        counts, x = tokens.shape[1:-1], self.expand(tokens)
        x = x.reshape(x.shape[0], prod(counts), prod(self.ratio), -1)
        return self.norm(from_groups(x, counts, self.ratio, dilated=False))
