"""Blocks of a denoising U-Net: weight-standardised residual blocks, and attention over a map."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.layers.blocks import ChannelNorm

_GROUPS = 8
_HEADS, _HEAD_CHANNELS = 4, 32


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with eight groups, or as many as the channels allow."""
    return nn.GroupNorm(math.gcd(_GROUPS, channels), channels)


class StandardisedConv(nn.Conv2d):
    """Convolution whose kernels have mean 0 and variance 1 (Qiao et al. 2019, "Weight Standardization")."""

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """As a convolution."""
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
        weight = (self.weight - mean) * (variance + 1e-5).rsqrt()
        return self._conv_forward(features, weight, self.bias)


class TimedResidual(nn.Module):
    """Two standardised convolutions with a shortcut; the time scales and shifts what the first one gives."""

    def __init__(self, in_channels: int, out_channels: int, time_channels: int) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time_channels, 2 * out_channels))
        self.first = nn.Sequential(StandardisedConv(in_channels, out_channels, 3, padding=1), group_norm(out_channels))
        self.second = nn.Sequential(
            StandardisedConv(out_channels, out_channels, 3, padding=1), group_norm(out_channels), nn.SiLU()
        )
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, features: Float[Tensor, "b c h w"], time: Float[Tensor, "b t"]) -> Float[Tensor, "b d h w"]:
        """Map with ``out_channels`` channels."""
        scale, shift = self.time(time)[..., None, None].chunk(2, 1)
        hidden = F.silu(self.first(features) * (scale + 1) + shift)
        return self.second(hidden) + self.shortcut(features)


class LinearAttention(nn.Module):
    """Attention at a cost linear in the number of cells, before it a norm, around it a shortcut (Shen et al. 2021)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = _HEADS * _HEAD_CHANNELS
        self.norm = ChannelNorm(channels, bias=False)
        self.qkv = nn.Conv2d(channels, 3 * inner, 1, bias=False)
        self.out = nn.Sequential(nn.Conv2d(inner, channels, 1), ChannelNorm(channels, bias=False))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The same size."""
        height, width = features.shape[2:]
        query, key, value = _heads(self.qkv(self.norm(features)))
        query = query.softmax(2) / math.sqrt(_HEAD_CHANNELS)
        context = key.softmax(3) @ (value / (height * width)).transpose(2, 3)
        mixed = context.transpose(2, 3) @ query
        return features + self.out(mixed.reshape(len(mixed), -1, height, width))


class FullAttention(nn.Module):
    """Attention of every cell to every other, before it a norm, around it a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = _HEADS * _HEAD_CHANNELS
        self.norm = ChannelNorm(channels, bias=False)
        self.qkv = nn.Conv2d(channels, 3 * inner, 1, bias=False)
        self.out = nn.Conv2d(inner, channels, 1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The same size."""
        query, key, value = (part.transpose(2, 3) for part in _heads(self.qkv(self.norm(features))))
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(2, 3)
        return features + self.out(mixed.reshape(len(mixed), -1, *features.shape[2:]))


def _heads(qkv: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b heads d n"], ...]:
    """Queries, keys and values of all heads."""
    return qkv.flatten(2).unflatten(1, (3, _HEADS, _HEAD_CHANNELS)).unbind(1)
