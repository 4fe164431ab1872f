"""Backbones of FFNet: plain residual networks made deep (Mehta et al. 2022, "Simple and Efficient Architectures for
Semantic Segmentation", arXiv 2206.08236)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.encoders.ffnet_weights import load_ffnet
from visionkit.errors import ConfigError
from visionkit.layers.blocks import ConvNormAct, small_normal
from visionkit.layers.normalise import Normalise
from visionkit.layers.residual import BasicBlock, Bottleneck, stage


class FFNetA(nn.Module):
    """Family A, ``ffnet18`` to ``ffnet150``: the stem of a ResNet, and four stages.

    Args:
        depths: residual blocks of each stage.
        bottleneck: blocks of 1x1, 3x3, 1x1 convolutions instead of two 3x3 ones.
        first_stride: stride of the first stage; 2 are the networks with a ``d`` in their name, strides 8 to 64.
        widths: channels of the stages, before the bottleneck's factor of four.
        in_chans: channels of the image.
        pre_down: halve the image first by a fixed blur; the strides double again.
        weights: local file with the weights of this encoder, of a trained network, or as published with the paper.
        freeze: keep the encoder as it is: no gradients, batch statistics at rest.

    Raises:
        ConfigError: C76 ``depths`` are not one for each stage, or ``first_stride`` is neither 1 nor 2;
            C23 to C25 unusable ``weights``.
        UnsafeFileError: U20 ``weights`` is a pickle that asks for more than tensors.
    """

    spatial_dims = 2

    def __init__(
        self,
        depths: Sequence[int],
        bottleneck: bool = False,
        first_stride: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        in_chans: int = 3,
        pre_down: bool = False,
        weights: str | Path | None = None,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        _check_depths(depths, len(widths))
        if first_stride not in (1, 2):
            raise ConfigError(
                "C76", "encoder.first_stride", f"{first_stride} is no stride of FFNet", "set it to 1 or 2"
            )
        self.in_chans, self.freeze = in_chans, freeze
        self.normalise = Normalise(in_chans)
        self.pre_down = BlurDown(in_chans) if pre_down else nn.Identity()
        self.stem = self._stem(in_chans)
        block = Bottleneck if bottleneck else BasicBlock
        stages, before, self.channels = [], 64, tuple(block.expansion * width for width in widths)
        for level, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            stages.append(stage(block, before, width, depth, 2 if level else first_stride, block.expansion))
            before = block.expansion * width
        self.stages = nn.ModuleList(stages)
        self.strides = tuple(4 * first_stride * (2 if pre_down else 1) << level for level in range(len(widths)))
        self.apply(small_normal)
        load_ffnet(self, weights)
        self.requires_grad_(not freeze).train()

    def _stem(self, in_chans: int) -> nn.Module:
        return nn.Sequential(ConvNormAct(in_chans, 64, 7, stride=2), nn.MaxPool2d(3, stride=2, padding=1))

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ h2 w2"]]:
        """One map for each stage, finest first."""
        features, maps = self.stem(self.pre_down(self.normalise(image))), []
        for level in self.stages:
            features = level(features)
            maps.append(features)
        return maps

    def train(self, mode: bool = True) -> Self:
        """As of any module, but a frozen encoder stays in evaluation."""
        return super().train(mode and not self.freeze)


class FFNetB(FFNetA):
    """Family B, with an ``s`` in the name: two 3x3 convolutions as stem, no pooling, narrower stages."""

    def __init__(self, depths: Sequence[int], widths: Sequence[int] = (64, 128, 192, 320), **options: Any) -> None:
        super().__init__(depths, widths=widths, **options)

    def _stem(self, in_chans: int) -> nn.Module:
        return nn.Sequential(ConvNormAct(in_chans, 32, stride=2), ConvNormAct(32, 64, stride=2))


class FFNetC(nn.Module):
    """Family C, with an ``n`` in the name: the map of stride 4 comes from the stem, and three stages follow.

    Args:
        depths: residual blocks of the three stages.
        widths: channels of the stem's map and of the stages.
        in_chans: channels of the image.
        pre_down: halve the image first by a fixed blur; the strides double.
        weights, freeze, and the errors: as of FFNetA.
    """

    spatial_dims = 2

    def __init__(
        self,
        depths: Sequence[int],
        widths: Sequence[int] = (64, 96, 160, 320),
        in_chans: int = 3,
        pre_down: bool = False,
        weights: str | Path | None = None,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        _check_depths(depths, len(widths) - 1)
        self.in_chans, self.freeze, self.channels = in_chans, freeze, tuple(widths)
        self.strides = tuple((8 if pre_down else 4) << level for level in range(len(widths)))
        self.normalise = Normalise(in_chans)
        self.pre_down = BlurDown(in_chans) if pre_down else nn.Identity()
        stem = (ConvNormAct(in_chans, 64, stride=2), ConvNormAct(64, 64, stride=2), ConvNormAct(64, widths[0]))
        pairs = zip(widths[:-1], widths[1:], depths, strict=True)
        self.levels = nn.ModuleList(
            [nn.Sequential(*stem), *(stage(BasicBlock, before, after, depth, 2) for before, after, depth in pairs)]
        )
        self.apply(small_normal)
        load_ffnet(self, weights, three_stages=True)
        self.requires_grad_(not freeze).train()

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ h2 w2"]]:
        """The map of the stem and one for each stage, finest first."""
        features, maps = self.pre_down(self.normalise(image)), []
        for level in self.levels:
            features = level(features)
            maps.append(features)
        return maps

    def train(self, mode: bool = True) -> Self:
        """As of any module, but a frozen encoder stays in evaluation."""
        return super().train(mode and not self.freeze)


class BlurDown(nn.Module):
    """Halves an image by a fixed Gaussian of 5x5 points, deviation 0.7.

    As published, rows are mirrored by one at the top and bottom and columns not at all, so that 1024 x 2048 becomes
    511 x 1022; the strided convolutions that follow round up.
    """

    kernel: Tensor

    def __init__(self, in_chans: int, deviation_px: float = 0.7) -> None:
        super().__init__()
        bell = torch.exp(-0.5 * (torch.arange(4.0) / deviation_px) ** 2)
        middle, near, far, beyond = bell / (2 * bell.sum() - 1)
        far = far + beyond  # as published: the tail that the kernel has no room for counts at its edge
        line = torch.stack([far, near, middle, near, far])
        self.register_buffer("kernel", torch.outer(line, line).repeat(in_chans, 1, 1, 1))

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """About half the size."""
        return F.conv2d(F.pad(image, (0, 0, 1, 1), mode="reflect"), self.kernel, stride=2, groups=image.shape[1])


def _check_depths(depths: Sequence[int], stages: int) -> None:
    if len(depths) != stages or min(depths) < 1:
        what = f"{list(depths)} are not the numbers of blocks of {stages} stages"
        raise ConfigError("C76", "encoder.depths", what, f"name {stages} numbers from 1 up")
