"""From a decoder's maps to scores: enlarging them to the image, and heads on coarser maps for training."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.layers.blocks import CONV, LINEAR_MODE
from visionkit.layers.strides import per_axis
from visionkit.types import IGNORE_INDEX, Decoder, Stride


def enlarged(logits: Float[Tensor, "b k *coarse"], stride: Stride, size: Sequence[int]) -> Float[Tensor, "b k *size"]:
    """Linearly enlarged by ``stride``, the padding at the end of every axis cut off."""
    factors = per_axis(stride, len(size))
    if max(factors) > 1:
        scale = tuple(map(float, factors))
        logits = F.interpolate(logits, scale_factor=scale, mode=LINEAR_MODE[len(size)], align_corners=False)
    return logits[(slice(None), slice(None), *(slice(0, length) for length in size))]


def reduced(target: Int64[Tensor, "b *space"], stride: Stride, size: Sequence[int]) -> Int64[Tensor, "b *size"]:
    """The label in the middle of each cell of a map; IGNORE_INDEX where the cell's middle is beyond the image."""
    for axis, (step, length) in enumerate(zip(per_axis(stride, len(size)), size, strict=True), start=1):
        middle = torch.arange(length, device=target.device) * step + step // 2
        inside = (middle < target.shape[axis]).view(-1, *[1] * (target.ndim - 1 - axis))
        target = target.index_select(axis, middle.clamp(max=target.shape[axis] - 1))
        target = target.where(inside, IGNORE_INDEX)
    return target


class DeepSupervision(nn.Module):
    """1x1 convolutions on a decoder's coarser maps, each with its share of the loss (Lee et al. 2015, as in nnU-Net).

    Args:
        decoder: with ``deep_channels``, ``deep_strides`` and ``deep``.
        weights: of the maps, finest first; they are divided by their sum.
        classes: scores at each position.
        spatial_dims: 2 for pictures, 3 for volumes.
        bias: whether the convolutions have one.

    Raises ConfigError C84 where the decoder has no such maps, or fewer than weights, or the weights are none.
    """

    def __init__(
        self, decoder: Decoder, weights: Sequence[float], classes: int, spatial_dims: int, bias: bool = True
    ) -> None:
        super().__init__()
        channels, strides = getattr(decoder, "deep_channels", ()), getattr(decoder, "deep_strides", ())
        if min(weights) < 0 or sum(weights) <= 0:
            _refuse(f"{list(weights)} are no weights", "give numbers such as [1, 0.5, 0.25], or null")
        if len(weights) > len(channels):
            _refuse(f"{len(weights)} weights for the {len(channels)} maps of this decoder", "give fewer, or null")
        self.weights = [weight / sum(weights) for weight in weights]
        self.strides = tuple(strides[1 : len(weights)])
        self.heads = nn.ModuleList(
            CONV[spatial_dims](width, classes, 1, bias=bias) for width in channels[1 : len(weights)]
        )

    def forward(
        self, maps: Sequence[Float[Tensor, "b _ *coarse"]], target: Int64[Tensor, "b *space"]
    ) -> list[tuple[Float[Tensor, "b k *coarse"], Int64[Tensor, "b *coarse"]]]:
        """Scores and labels of the maps after the finest; maps without a weight are left out."""
        logits = [head(x) for head, x in zip(self.heads, maps[1:], strict=False)]
        return [(x, reduced(target, stride, x.shape[2:])) for x, stride in zip(logits, self.strides, strict=True)]


def _refuse(what: str, fix: str) -> None:
    raise ConfigError("C84", "task.deep_supervision", what, fix)
