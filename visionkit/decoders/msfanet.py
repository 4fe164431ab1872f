"""Necks of M-SFANet: what its two coarsest maps go through before they are fused."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.decoders.density_parts import grown
from visionkit.layers.aspp import ASPP
from visionkit.layers.context import Context
from visionkit.types import Stride


class ScalePyramid(nn.Module):
    """Context on the coarsest map but one and ASPP on the coarsest (Thanasutives et al. 2020, arXiv 2003.05586).

    Args:
        channels: of the maps, finest first; the context keeps them.
        strides: of the maps.
        width: channels of ASPP.
        dilations: of ASPP.
        dropout: of ASPP.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        width: int = 256,
        dilations: Sequence[int] = (6, 12, 18),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.context = Context(channels[-2], channels[-2])
        self.aspp = ASPP(channels[-1], width, dilations, dropout=dropout)
        self.channels, self.strides = (*channels[:-1], width), tuple(strides)

    def forward(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> list[Float[Tensor, "b _ _ _"]]:
        """Maps with ``channels``, of the same sizes."""
        *fine, middle, coarse = maps
        return [*fine, self.context(middle), self.aspp(coarse)]


class EnlargedScalePyramid(nn.Module):
    """As in the variant for UCF-QNRF: nothing is normalised, and the coarsest map is made as large as the next.

    It is what ASPP gives, enlarged, beside what two 3x3 convolutions make of the enlarged map itself.

    Args:
        channels: of the maps, finest first; the context keeps them.
        strides: of the maps.
        width: channels of ASPP.
        branch_widths: channels of the two convolutions.
        dilations: of ASPP.
        dropout: of ASPP.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        width: int = 256,
        branch_widths: Sequence[int] = (256, 128),
        dilations: Sequence[int] = (12, 24, 36),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.context = Context(channels[-2], channels[-2])
        self.aspp = ASPP(channels[-1], width, dilations, norm=False, dropout=dropout)
        self.branch = branch(channels[-1], branch_widths)
        self.channels = (*channels[:-1], width + branch_widths[-1])
        self.strides = (*strides[:-1], strides[-2])

    def forward(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> list[Float[Tensor, "b _ _ _"]]:
        """Maps with ``channels``; the last two are of one size."""
        *fine, middle, coarse = maps
        size = middle.shape[2:]
        top = torch.cat([grown(self.aspp(coarse), size), self.branch(grown(coarse, size))], 1)
        return [*fine, self.context(middle), top]


def branch(channels: int, widths: Sequence[int]) -> nn.Sequential:
    """3x3 convolutions with ReLU."""
    layers: list[nn.Module] = []
    for before, after in zip((channels, *widths), widths, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)
