"""Positions of tokens in a sequence and of cells in a grid, as vectors that are added to them."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


def sinusoids(positions: Float[Tensor, "*n"] | Int64[Tensor, "*n"], channels: int) -> Float[Tensor, "*n channels"]:
    """Sine and cosine in turn at wavelengths from 2 pi to 20000 pi (Vaswani et al. 2017, section 3.5), float32."""
    rates = torch.exp(torch.arange(0, channels, 2, device=positions.device) * (-math.log(1e4) / max(channels, 1)))
    angles = positions[..., None].float() * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)[..., :channels]


def grid_sinusoids(
    size: Sequence[int], channels: int, device: torch.device | None = None
) -> Float[Tensor, "n channels"]:
    """Sinusoids of every cell of a grid in reading order; the axes share the channels equally, what is left is 0."""
    share = channels // len(size) // 2 * 2
    axes = [sinusoids(torch.arange(length, device=device), share) for length in size]
    grid = torch.zeros(*size, channels, device=device)
    for axis, vectors in enumerate(axes):
        shape = [1] * len(size) + [share]
        shape[axis] = size[axis]
        grid[..., axis * share : (axis + 1) * share] = vectors.view(shape)
    return grid.flatten(0, -2)


class SinusoidalPositions(nn.Module):
    """Fixed positions of tokens, for sequences of any length."""

    longest: int | None = None

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, positions: Int64[Tensor, "b k"]) -> Float[Tensor, "b k c"]:
        """The vectors of these positions."""
        return sinusoids(positions, self.channels)


class LearnedPositions(nn.Module):
    """Learned positions of tokens, for sequences of at most ``longest`` with the start token."""

    def __init__(self, channels: int, longest: int = 512) -> None:
        super().__init__()
        self.longest = longest
        self.table = nn.Embedding(longest, channels)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, positions: Int64[Tensor, "b k"]) -> Float[Tensor, "b k c"]:
        """The vectors of these positions."""
        return self.table(positions)
