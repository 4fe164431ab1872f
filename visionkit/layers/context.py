"""Scale-aware context: what surrounds each place at several scales, weighed by how much it differs from the place."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Context(nn.Module):
    """Module of CAN (Liu et al. 2019, "Context-Aware Crowd Counting", equations 2 to 5).

    The map is averaged into grids of several sizes and enlarged again. Where an average differs from the map, a
    sigmoid weighs it; the weighted mean over the sizes is joined with the map and mixed by a 1x1 convolution.

    Args:
        channels: of the map that comes in.
        out_channels: of the one that goes out.
        sizes: rows and columns of the grids.
    """

    def __init__(self, channels: int, out_channels: int, sizes: Sequence[int] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.scales = nn.ModuleList(nn.Conv2d(channels, channels, 1, bias=False) for _ in self.sizes)
        self.weight = nn.Conv2d(channels, channels, 1)
        self.mix = nn.Conv2d(2 * channels, out_channels, 1)
        for conv in (*self.scales, self.weight, self.mix):
            nn.init.normal_(conv.weight, std=0.01)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """The same size."""
        total, weights = torch.zeros_like(features), torch.zeros_like(features)
        for size, scale in zip(self.sizes, self.scales, strict=True):
            pooled = scale(F.adaptive_avg_pool2d(features, size))
            around = F.interpolate(pooled, size=features.shape[2:], mode="bilinear", align_corners=False)
            weight = self.weight(features - around).sigmoid()
            total, weights = total + weight * around, weights + weight
        return self.mix(torch.cat([total / weights, features], 1)).relu()
