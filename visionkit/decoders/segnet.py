"""M-SegNet: paths that put values back where max pooling took them from."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.decoders.density_parts import conv, grown, step
from visionkit.decoders.msfanet import branch
from visionkit.errors import ConfigError
from visionkit.layers.strides import joined, per_axis
from visionkit.types import Stride


class Pooled(NamedTuple):
    """A map after max pooling, and where its values were."""

    values: Float[Tensor, "b c h w"]
    indices: Int64[Tensor, "b c h w"]
    size: torch.Size
    """Of the map before pooling."""

    def put_back(self, values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c before_h before_w"]:
        """Other values of the same shape where the maxima were, zeros elsewhere."""
        flat = values.new_zeros(*values.shape[:2], self.size[-2] * self.size[-1])
        return flat.scatter(2, self.indices.flatten(2), values.flatten(2)).unflatten(2, self.size[-2:])


class Pools(nn.Module):
    """Max pools each map of the encoder to the next coarser stride, the coarsest by two.

    VGG does this between its blocks, so with its maps at strides 1, 2, 4, 8 these are the pooled maps and indices of
    the published network. Other encoders get coarser in other ways; for them these pools stand in for it.

    Args:
        channels: of the maps, finest first.
        strides: of the maps; each a multiple of the one before. ``self.strides`` are those after pooling.

    Raises ConfigError C137 for strides that are no multiples.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[Stride]) -> None:
        super().__init__()
        axes = [per_axis(stride, 2) for stride in strides]
        axes.append(tuple(2 * axis for axis in axes[-1]))
        self.steps = [(b // a, d // c) for (a, c), (b, d) in pairwise(axes)]
        if any(b % a or d % c for (a, c), (b, d) in pairwise(axes)):
            what = f"strides {list(strides)} are no multiples of each other"
            raise ConfigError("C137", "decoder.at", what, "set decoder.at to powers of two, such as [2,4,8,16]")
        self.channels, self.strides = tuple(channels), tuple(joined(stride) for stride in axes[1:])

    def forward(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> list[Pooled]:
        """Each map pooled; an odd last row or column is a pool of its own."""
        pairs = zip(maps, self.steps, strict=True)
        return [
            Pooled(*F.max_pool2d(x, window, window, ceil_mode=True, return_indices=True), x.shape)
            for x, window in pairs
        ]


class BranchedPools(nn.Module):
    """As in the variant for UCF-QNRF: the coarsest map is not pooled but enlarged and passed through two convolutions.

    Args:
        channels: of the maps, finest first.
        strides: of the maps.
        branch_widths: channels of the two convolutions.
    """

    least: ClassVar[int] = 3
    """Maps that it takes: with a single pool the path would have no step at which the enlarged map is joined."""

    def __init__(
        self, channels: Sequence[int], strides: Sequence[Stride], branch_widths: Sequence[int] = (256, 128)
    ) -> None:
        super().__init__()
        self.pools = Pools(channels[:-1], strides[:-1])
        self.branch = branch(channels[-1], branch_widths)
        self.channels, self.strides = (*channels[:-1], branch_widths[-1]), (*self.pools.strides, strides[-2])

    def forward(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> list[Pooled | Tensor]:
        """The pooled maps, and last a map as large as the coarsest of them was before."""
        return [*self.pools(maps[:-1]), self.branch(grown(maps[-1], maps[-2].shape[2:]))]


class Unpooling(nn.Module):
    """From the coarsest pooled map up: values are put back, joined with the next finer pooled map, and convolved.

    A step has as many channels as the map whose indices come next (Thanasutives et al. 2020, arXiv 2003.05586; Badri-
    narayanan et al. 2017, "SegNet").

    Args:
        channels: of the pooled maps, finest first; with ``beside`` those of one more map at the end.
        out_channels: of the 3x3 convolution after the steps.
        norm: batch normalisation after every convolution.
        beside: join the last map, which is none of the pools, at the first step.
    """

    def __init__(
        self, channels: Sequence[int], out_channels: int = 32, norm: bool = True, beside: bool = False
    ) -> None:
        super().__init__()
        self.beside, self.out_channels = beside, out_channels
        *pools, extra = channels if beside else (*channels, 0)
        self.steps = nn.ModuleList()
        for index, (finer, coarser) in enumerate(zip(pools[-2::-1], pools[:0:-1], strict=True)):
            self.steps.append(step(coarser + finer + (0 if index else extra), finer, norm))
        self.last = conv(pools[0], out_channels, 3, norm)

    def forward(self, pools: Sequence[Any]) -> Float[Tensor, "b c h w"]:
        """A map of the size of the first pooled one, from ``Pools`` or, with ``beside``, from ``BranchedPools``."""
        first = [pools[-1]] if self.beside else []
        pools = pools[:-1] if self.beside else pools
        x = pools[-1].values
        for layers, finer, coarser in zip(self.steps, pools[-2::-1], pools[:0:-1], strict=True):
            x = layers(torch.cat([*first, coarser.put_back(x), finer.values], 1))
            first = []
        return self.last(x)
