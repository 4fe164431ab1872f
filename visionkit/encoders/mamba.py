"""VMamba: convolutional stages with a selective scan along four paths through the picture (Liu et al. 2024, "VMamba:
Visual State Space Model", arXiv 2401.10166; the networks named s1l8 and s2l15 in github.com/MzeroMiko/VMamba)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.encoders.mamba_weights import of_vmamba
from visionkit.encoders.released import load_released
from visionkit.layers.blocks import ChannelNorm
from visionkit.layers.normalise import Normalise
from visionkit.layers.ssm import SelectiveSSM


class VMamba(nn.Module):
    """VMamba's stages, each map normalised as for its dense tasks; strides 4 to 32.

    Args:
        width: channels of the first stage; each further stage doubles them.
        depths: blocks of each stage.
        expansion: channels that are scanned, as a multiple of the stage's.
        states: states of each scanned channel.
        in_chans: channels of the image.
        drop_path_rate: stochastic depth of the last block in training, 0..1; from 0 it rises evenly.
        weights: local file: the authors' release, or a trained visionkit network; errors as of TimmEncoder.
        freeze: keep the stages as they are: no gradients, stochastic depth at rest. The norms of the maps still learn.
    """

    spatial_dims = 2

    def __init__(
        self,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 8, 2),
        expansion: float = 1.0,
        states: int = 1,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        weights: str | Path | None = None,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        self.in_chans, self.freeze = in_chans, freeze
        self.channels = tuple(width << level for level in range(len(depths)))
        self.strides = tuple(4 << level for level in range(len(depths)))
        self.normalise = Normalise(in_chans)
        self.body = VMambaBody(width, depths, expansion, states, in_chans, drop_path_rate)
        self.norms = nn.ModuleList(ChannelNorm(channels) for channels in self.channels)
        load_released(self, weights, of_vmamba)
        if freeze:
            self.body.requires_grad_(False)
            self.train()

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """One map for each stage, finest first."""
        maps = self.body(self.normalise(image))
        return [norm(features) for norm, features in zip(self.norms, maps, strict=True)]

    def train(self, mode: bool = True) -> "VMamba":
        """As of any module, but a frozen body stays in evaluation."""
        super().train(mode)
        if self.freeze:
            self.body.eval()
        return self


class VMambaClassifier(nn.Module):
    """The published classifier: norm, mean over the picture, linear layer; ``encoder`` gives its stages."""

    def __init__(self, encoder: VMamba, classes: int = 1000) -> None:
        super().__init__()
        self.normalise, self.body = encoder.normalise, encoder.body
        self.norm = ChannelNorm(encoder.channels[-1])
        self.head = nn.Linear(encoder.channels[-1], classes)
        _initialise(self.head)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Logits of an image in 0..1."""
        features = self.norm(self.body(self.normalise(image))[-1])
        return self.head(features.mean((2, 3)))


class VMambaBody(nn.Module):
    """Stem and stages; arguments as of VMamba. The image comes normalised."""

    def __init__(
        self, width: int, depths: Sequence[int], expansion: float, states: int, in_chans: int, drop_path_rate: float
    ) -> None:
        super().__init__()
        rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").split(list(depths))
        self.stem = nn.Sequential(*_down(in_chans, width // 2), nn.GELU(), *_down(width // 2, width))
        self.downs = nn.ModuleList(_down(width << level, 2 * width << level) for level in range(len(depths) - 1))
        self.stages = nn.ModuleList(
            nn.Sequential(*(VSSBlock(width << level, expansion, states, rate) for rate in of_stage.tolist()))
            for level, of_stage in enumerate(rates)
        )
        self.apply(_initialise)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """One map for each stage, finest first."""
        features, maps = image, []
        for entry, stage in zip((self.stem, *self.downs), self.stages, strict=True):
            features = stage(entry(features).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            maps.append(features)
        return maps


class VSSBlock(nn.Module):
    """Scan and perceptron, each on the normalised input and added to it."""

    def __init__(self, channels: int, expansion: float, states: int, drop_path_rate: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.scan = SS2D(channels, round(expansion * channels), states)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """The map with channels last."""
        x = x + self.drop_path(self.scan(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class SS2D(nn.Module):
    """Scan along four paths: by rows, by columns, and both backward; the results are summed (section 4.2)."""

    def __init__(self, channels: int, inner: int, states: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(channels, inner, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.ssm = SelectiveSSM(inner, states, rank=-(-channels // 16), directions=4)
        self.norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """The map with channels last."""
        x = self.conv(self.in_proj(x).permute(0, 3, 1, 2))
        y = cross_merge(self.ssm(cross_scan(F.silu(x).permute(0, 2, 3, 1))), x.shape[2:])
        return self.out_proj(self.norm(y))


def cross_scan(x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b l 4 c"]:
    """Four sequences of the map's cells: by rows, by columns, and the same two backward."""
    forward = torch.stack([x.flatten(1, 2), x.transpose(1, 2).flatten(1, 2)], dim=2)
    return torch.cat([forward, forward.flip(1)], dim=2)


def cross_merge(y: Float[Tensor, "b l 4 c"], size: Sequence[int]) -> Float[Tensor, "b h w c"]:
    """The sum over the four sequences at each cell: the transpose of ``cross_scan``."""
    height, width = size
    rows, columns = (y[:, :, :2] + y[:, :, 2:].flip(1)).unbind(2)
    return rows.unflatten(1, (height, width)) + columns.unflatten(1, (width, height)).transpose(1, 2)


def _down(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1), ChannelNorm(out_channels))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
