"""Atrous spatial pyramid pooling: the same map seen by convolutions of several reaches, and as a whole."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ASPP(nn.Module):
    """As in DeepLabv3 (Chen et al. 2017, section 3.3): a 1x1 and dilated 3x3 convolutions, and the mean of the map.

    Args:
        channels: of the map that comes in.
        out_channels: of each branch and of the output.
        dilations: of the 3x3 convolutions.
        norm: batch normalisation after every convolution.
        dropout: probability of a value of the output to be dropped in training.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int = 256,
        dilations: Sequence[int] = (6, 12, 18),
        norm: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.near = _branch(channels, out_channels, norm)
        self.far = nn.ModuleList(_branch(channels, out_channels, norm, rate) for rate in dilations)
        self.whole = _branch(channels, out_channels, norm)
        self.mix = nn.Sequential(_branch((2 + len(dilations)) * out_channels, out_channels, norm), nn.Dropout(dropout))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """The same size."""
        whole = self.whole(F.adaptive_avg_pool2d(features, 1)).expand(-1, -1, *features.shape[2:])
        return self.mix(torch.cat([self.near(features), *(far(features) for far in self.far), whole], 1))


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that takes its running statistics where a channel has a single value to normalise."""

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The same size."""
        if self.training and features.shape[0] * features.shape[2] * features.shape[3] == 1:
            return F.batch_norm(features, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(features)


def _branch(channels: int, out_channels: int, norm: bool, dilation: int | None = None) -> nn.Sequential:
    """1x1, or 3x3 where there is a dilation."""
    kernel, rate = (1, 1) if dilation is None else (3, dilation)
    padding = 0 if dilation is None else dilation
    conv = nn.Conv2d(channels, out_channels, kernel, padding=padding, dilation=rate, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return nn.Sequential(conv, *([BatchNorm(out_channels)] if norm else []), nn.ReLU())
