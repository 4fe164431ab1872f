"""The plain convolutional encoder of a U-Net, for pictures and volumes."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.encoders.weights import load_exactly, part, read_weights
from visionkit.errors import ConfigError
from visionkit.layers.blocks import ConvNormAct, InstanceNorm
from visionkit.layers.strides import increase, joined, per_axis
from visionkit.types import Stride


class ConvEncoder(nn.Module):
    """Stages of two 3x3 convolutions, the first of which has the stage's step (Ronneberger et al. 2015, "U-Net";
    Cicek et al. 2016, "3D U-Net"; strided convolutions and leaky ReLU as in Isensee et al. 2021, "nnU-Net").

    Args:
        channels: of the stages, finest first.
        steps: of the stages: how much coarser each is than the one before, one number or one for each axis.
        spatial_dims: 2 for pictures, 3 for volumes.
        in_chans: channels of the image.
        norm: makes the normalisation from a number of channels; instance normalisation by default.
        act: makes the activation; leaky ReLU with a slope of 0.01 by default.
        mean, std: of the images that come in. Volumes are normalised where they are read: 0 and 1.
        weights: local file with the weights of such an encoder, or with those of a trained visionkit network.

    Raises ConfigError C85 for channels and steps that do not make stages, C23 to C25 for unusable ``weights``.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64, 128),
        steps: Sequence[Stride] = (1, 2, 2, 2),
        spatial_dims: int = 3,
        in_chans: int = 1,
        norm: Callable[[int], nn.Module] = InstanceNorm,
        act: Callable[[], nn.Module] | None = None,
        mean: float = 0.0,
        std: float = 1.0,
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.in_chans, self.mean, self.std = spatial_dims, in_chans, mean, std
        self.channels, self.strides = tuple(channels), _strides(channels, steps, spatial_dims)
        activation = act or _leaky
        self.stages = nn.ModuleList()
        for before, after, step in zip((in_chans, *channels), channels, steps, strict=False):
            step = step if isinstance(step, int) else tuple(step)
            first = ConvNormAct(before, after, stride=step, spatial_dims=spatial_dims, norm=norm, act=activation)
            second = ConvNormAct(after, after, spatial_dims=spatial_dims, norm=norm, act=activation)
            self.stages.append(nn.Sequential(first, second))
        if weights:
            tensors = read_weights(weights)
            load_exactly(self, part(tensors, "encoder.") or tensors, weights)

    def forward(self, image: Float[Tensor, "b c *space"]) -> list[Float[Tensor, "b _ *coarse"]]:
        """The map of every stage, finest first."""
        maps, x = [], (image - self.mean) / self.std
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.01, inplace=True)


def _strides(channels: Sequence[int], steps: Sequence[Stride], dims: int) -> tuple[Stride, ...]:
    """Products of the steps."""
    wide = [per_axis(step, dims) for step in steps]
    totals = list(accumulate(wide, lambda total, step: tuple(a * b for a, b in zip(total, step, strict=True))))
    if not len(channels) == len(steps) > 0 or not increase(totals, dims):
        what = f"{list(channels)} channels and {list(steps)} steps make no stages"
        raise ConfigError("C85", "encoder.steps", what, "give one step for each stage, 2 or more after the first")
    return tuple(joined(total) for total in totals)
