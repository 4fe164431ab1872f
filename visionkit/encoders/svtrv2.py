"""SVTRv2: stages of grouped convolutions and of attention that keep the width of a line of text (Du et al. 2025,
"SVTRv2: CTC Beats Encoder-Decoder Models in Scene Text Recognition", arXiv 2411.15858, section 3.2)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from timm.layers import DropPath
from torch import Tensor, nn

from visionkit.encoders.released import load_released
from visionkit.encoders.svtrv2_weights import of_openocr
from visionkit.errors import ConfigError
from visionkit.layers.blocks import ChannelNorm, ConvNormAct
from visionkit.layers.normalise import Normalise
from visionkit.layers.rows import MLP, SelfAttention

_EPS = 1e-6
_STEPS = ((1, 1), (2, 1))
"""Of the convolutions between the stages: the second halves the height alone."""


class SVTRv2(nn.Module):
    """Maps of the second and third stage, strides (4, 4) and (8, 4); no positions, so any size will do.

    Args:
        channels: of the three stages.
        heads: of their attention, and groups of their convolutions.
        mixers: of each stage a text with one letter for each block: ``C`` two convolutions, ``G`` global attention.
        in_chans: channels of the image.
        drop_path_rate: stochastic depth of the last block in training, 0..1; from 0 it rises evenly.
        weights: local file: the authors' release, or a trained visionkit network; errors as of TimmEncoder.

    Raises ConfigError C190 for mixers that are none, or stages that do not fit together.
    """

    spatial_dims = 2

    def __init__(
        self,
        channels: Sequence[int] = (64, 128, 256),
        heads: Sequence[int] = (2, 4, 8),
        mixers: Sequence[str] = ("CCC", "CCCGGG", "GGG"),
        in_chans: int = 3,
        drop_path_rate: float = 0.1,
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        _check(channels, heads, mixers)
        self.in_chans, self.channels = in_chans, tuple(channels[1:])
        self.strides = (4, (8, 4))
        self.normalise = Normalise(in_chans, (0.5,), (0.5,))
        self.body = Body(channels, heads, mixers, in_chans, drop_path_rate)
        load_released(self, weights, of_openocr)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Maps with ``channels`` at ``strides``."""
        return self.body(self.normalise(image))[1:]


class Body(nn.Module):
    """Stem, stages and what lies between them; arguments as of SVTRv2. The image comes normalised."""

    def __init__(
        self,
        channels: Sequence[int],
        heads: Sequence[int],
        mixers: Sequence[str],
        in_chans: int,
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        rates = iter(torch.linspace(0, drop_path_rate, sum(map(len, mixers)), device="cpu").tolist())
        self.stem = nn.Sequential(
            ConvNormAct(in_chans, channels[0] // 2, stride=2, act=nn.GELU),
            ConvNormAct(channels[0] // 2, channels[0], stride=2, act=nn.GELU),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width, _mixer(kind, width, count), next(rates)) for kind in kinds))
            for width, count, kinds in zip(channels, heads, mixers, strict=True)
        )
        self.steps = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, stride=step, padding=1), ChannelNorm(after))
            for before, after, step in zip(channels, channels[1:], _STEPS, strict=False)
        )
        self.apply(_initial)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """The map of every stage."""
        x, maps = self.stem(image), []
        for number, stage in enumerate(self.stages):
            x = self.steps[number - 1](x) if number else x
            x = stage(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            maps.append(x)
        return maps


class Block(nn.Module):
    """Mixing of positions, then of channels, each added and the sum normalised (post-norm)."""

    def __init__(self, channels: int, mixer: nn.Module, drop_path_rate: float) -> None:
        super().__init__()
        self.mixer, self.mlp = mixer, MLP(channels)
        self.norm1, self.norm2 = nn.LayerNorm(channels, _EPS), nn.LayerNorm(channels, _EPS)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """The same size."""
        x = self.norm1(x + self.drop_path(self.mixer(x)))
        return self.norm2(x + self.drop_path(self.mlp(x)))


class Convolutions(nn.Sequential):
    """Two grouped 3x3 convolutions with nothing between them, over maps with their channels last."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(*(nn.Conv2d(channels, channels, 3, padding=1, groups=groups) for _ in range(2)))

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """The same size."""
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


_MIXERS: dict[str, type[nn.Module]] = {"C": Convolutions, "G": SelfAttention}


def _mixer(kind: str, channels: int, heads: int) -> nn.Module:
    return _MIXERS[kind](channels, heads)


def _initial(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _check(channels: Sequence[int], heads: Sequence[int], mixers: Sequence[str]) -> None:
    fix = "give channels, heads and mixers for three stages, such as 'CCCGGG' for one with six blocks"
    if not len(channels) == len(heads) == len(mixers) == len(_STEPS) + 1:
        what = f"{len(channels)} channels, {len(heads)} heads and {len(mixers)} mixers make no three stages"
        raise ConfigError("C190", "encoder", what, fix)
    if any(width % count for width, count in zip(channels, heads, strict=True)):
        what = f"{list(heads)} heads do not divide {list(channels)} channels"
        raise ConfigError("C190", "encoder.heads", what, "take as many as divide them, such as one for 32 channels")
    if wrong := [kinds for kinds in mixers if not kinds or set(kinds) - set(_MIXERS)]:
        raise ConfigError("C190", "encoder.mixers", f"{wrong[0]!r} is no stage", fix)
