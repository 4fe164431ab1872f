"""Parts of an autoencoder with a latent of few channels: its blocks, and the distribution of its latents."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_GROUPS = 32


def latent_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with 32 groups, or as many as the channels allow."""
    return nn.GroupNorm(math.gcd(_GROUPS, channels), channels, eps=1e-6)


class Posterior(NamedTuple):
    """A normal distribution for each value of a latent."""

    mean: Float[Tensor, "b c h w"]
    log_variance: Float[Tensor, "b c h w"]

    @classmethod
    def of(cls, moments: Float[Tensor, "b moments h w"]) -> "Posterior":
        """Half of the channels are means, half are logarithms of variances, which are kept between -30 and 20."""
        mean, log_variance = moments.to(torch.promote_types(moments.dtype, torch.float32)).chunk(2, 1)
        return cls(mean, log_variance.clamp(-30, 20))

    def at(self, noise: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The value that standard normal noise stands for."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Float[Tensor, "b c h w"]:
        """Kullback-Leibler divergence of each value from the standard normal distribution, in nats."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)


class LatentResidual(nn.Module):
    """Twice norm, swish and 3x3 convolution, with a shortcut (Esser et al. 2021, "Taming Transformers")."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = _step(in_channels, out_channels)
        self.second = _step(out_channels, out_channels)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Map with ``out_channels`` channels."""
        return self.shortcut(features) + self.second(self.first(features))


class LatentAttention(nn.Module):
    """Attention of one head among all cells, before it a norm, around it a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = latent_norm(channels)
        self.query, self.key, self.value, self.out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The same size."""
        normed = self.norm(features)
        parts = (part(normed).flatten(2).transpose(1, 2) for part in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(features.shape)
        return features + self.out(mixed)


def middle(channels: int) -> nn.Sequential:
    """Block, attention, block: what stands on the coarsest map of an autoencoder."""
    return nn.Sequential(
        LatentResidual(channels, channels), LatentAttention(channels), LatentResidual(channels, channels)
    )


def projection(in_channels: int, out_channels: int) -> nn.Sequential:
    """Norm, swish and 3x3 convolution."""
    return _step(in_channels, out_channels)


def _step(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(latent_norm(in_channels), nn.SiLU(), nn.Conv2d(in_channels, out_channels, 3, padding=1))
