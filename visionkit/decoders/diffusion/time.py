"""What a network is told of the time of a noisy map."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Sines and cosines of ``ln(t) / 4`` at fixed random frequencies, then two linear layers (Song et al. 2021).

    Args:
        frequencies: how many.
        channels: of the embedding.
        scale: deviation of the normal distribution of the frequencies.
    """

    frequencies: Tensor

    def __init__(self, frequencies: int, channels: int, scale: float = 16.0) -> None:
        super().__init__()
        self.register_buffer("frequencies", scale * torch.randn(frequencies))
        self.layers = nn.Sequential(nn.Linear(2 * frequencies, channels), nn.GELU(), nn.Linear(channels, channels))

    def forward(self, time: Float[Tensor, "b"]) -> Float[Tensor, "b c"]:
        """Embedding of times in (0, 1]."""
        angles = time.log()[:, None] / 4 * self.frequencies * (2 * math.pi)
        waves = torch.cat([angles.sin(), angles.cos()], -1)  # of precise times, whatever the weights' precision
        return self.layers(waves.to(next(self.layers.parameters()).dtype))
