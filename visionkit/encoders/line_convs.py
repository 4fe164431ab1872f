"""Convolutions that keep the width of a line (those of CRNN: Shi et al. 2017, arXiv 1507.05717)."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.encoders.weights import load_exactly, part, read_weights
from visionkit.errors import ConfigError
from visionkit.layers.blocks import ConvNormAct
from visionkit.layers.normalise import Normalise

_POOLS = ((2, 2), (2, 2), (2, 1), (2, 1))
"""Of the stages; the later ones keep the width."""


class LineConvs(nn.Module):
    """One map of stride (16, 4), which knows of each column no more than what stands around it.

    Args:
        channels: of the four stages of convolutions.
        depths: 3x3 convolutions of each stage.
        in_chans: channels of the image.
        mean, std: of the images, in 0..1.
        weights: local file with the weights of such an encoder, or with those of a trained visionkit network.

    Raises ConfigError C191 for channels or depths that make no four stages, C23 to C25 for unusable ``weights``.
    """

    spatial_dims = 2
    strides = ((16, 4),)

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64, 128),
        depths: Sequence[int] = (1, 1, 2, 2),
        in_chans: int = 1,
        mean: float = 0.5,
        std: float = 0.25,
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        if not len(channels) == len(depths) == len(_POOLS) or min(depths) < 1:
            what = f"{list(channels)} channels and {list(depths)} depths make no {len(_POOLS)} stages"
            raise ConfigError("C191", "encoder.depths", what, "give a number for each stage, 1 or more convolutions")
        self.in_chans, self.channels = in_chans, (channels[-1],)
        self.normalise = Normalise(in_chans, (mean,), (std,))
        stages = zip((in_chans, *channels), channels, depths, _POOLS, strict=False)
        self.stages = nn.Sequential(*(_stage(*stage) for stage in stages))
        if weights:
            tensors = read_weights(weights)
            load_exactly(self, part(tensors, "encoder.") or tensors, weights)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """The one map."""
        return [self.stages(self.normalise(image))]


def _stage(in_channels: int, channels: int, depth: int, pool: tuple[int, int]) -> nn.Sequential:
    first = ConvNormAct(in_channels, channels)
    return nn.Sequential(first, *(ConvNormAct(channels, channels) for _ in range(depth - 1)), nn.MaxPool2d(pool))
