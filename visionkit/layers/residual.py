"""Residual blocks of He et al. 2016, "Deep Residual Learning": basic, and bottleneck with its stride on the 3x3."""

from collections.abc import Callable
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.layers.blocks import ConvNormAct


class Residual(nn.Module):
    """``relu(branch(x) + shortcut(x))``; the shortcut is a 1x1 convolution where channels or size change."""

    def __init__(self, branch: nn.Module, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.branch = branch
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else _linear(in_channels, out_channels, 1, stride)
        self.act = nn.ReLU()

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Map with ``out_channels`` channels, ``ceil(size / stride)``."""
        return self.act(self.branch(features) + self.shortcut(features))


class BasicBlock(Residual):
    """Two 3x3 convolutions."""

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        branch = nn.Sequential(ConvNormAct(in_channels, width, stride=stride), _linear(width, width, 3))
        super().__init__(branch, in_channels, width, stride)


class Bottleneck(Residual):
    """1x1, 3x3 and 1x1 convolutions; four times ``width`` channels go out."""

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        out_channels = self.expansion * width
        branch = nn.Sequential(
            ConvNormAct(in_channels, width, 1),
            ConvNormAct(width, width, stride=stride),
            _linear(width, out_channels, 1),
        )
        super().__init__(branch, in_channels, out_channels, stride)


Block = Callable[[int, int, int], Residual]
"""Called as ``block(in_channels, width, stride)``."""


def stage(block: Block, in_channels: int, width: int, depth: int, stride: int, expansion: int = 1) -> nn.Sequential:
    """``depth`` blocks, the first of which has the stride."""
    first = block(in_channels, width, stride)
    return nn.Sequential(first, *(block(expansion * width, width, 1) for _ in range(depth - 1)))


def _linear(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Module:
    return ConvNormAct(in_channels, out_channels, kernel_size, stride=stride, act=nn.Identity)
