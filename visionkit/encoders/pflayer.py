"""ResNets whose 3x3 convolutions are pooling (Han et al. 2022, "Learning Features with Parameter-Free Layers", ICLR,
arXiv 2202.02777; github.com/naver-ai/PfLayer)."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.encoders.released import Tensors, load_released, renamed
from visionkit.errors import ConfigError
from visionkit.layers.blocks import ConvNormAct
from visionkit.layers.normalise import Normalise
from visionkit.layers.residual import Block, Residual, stage

_EXPANSION = 4
_NAMES = (
    (r"^conv1\.", "stem."),
    (r"^layer(\d)\.(\d+)\.reduction_block\.", r"stages.\1.\2.branch.0."),
    (r"^layer(\d)\.(\d+)\.conv_block\.1\.", r"stages.\1.\2.branch.1.1."),
    (r"^layer(\d)\.(\d+)\.expansion_block\.", r"stages.\1.\2.branch.2."),
    (r"^layer(\d)\.(\d+)\.downsample\.", r"stages.\1.\2.shortcut."),
)


class PfResNet(nn.Module):
    """Stem and four stages of a ResNet; maps at strides 2 to 32.

    Args:
        block: called as ``block(in_channels, width, stride)``: ``max_block`` or ``hybrid_block``.
        depths: residual blocks of each stage.
        widths: channels of the stages before the block's factor of four.
        in_chans: channels of the image.
        weights: local file: the authors' release, or a trained visionkit network; errors as of TimmEncoder.
        freeze: keep the encoder as it is: no gradients, batch statistics at rest.

    Raises ConfigError C91 where depths and widths do not go together, or a stage has no block.
    """

    spatial_dims = 2

    def __init__(
        self,
        block: Block,
        depths: Sequence[int] = (3, 4, 6, 3),
        widths: Sequence[int] = (64, 128, 256, 512),
        in_chans: int = 3,
        weights: str | Path | None = None,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        if not depths or len(depths) != len(widths) or min(depths) < 1:
            what = f"depths {list(depths)} and widths {list(widths)} make no stages"
            raise ConfigError(
                "C91", "encoder.depths", what, "give one of each for every stage, and depths of 1 or more"
            )
        self.in_chans, self.freeze = in_chans, freeze
        self.normalise = Normalise(in_chans)
        self.body = PfBody(block, depths, widths, in_chans)
        self.channels = (widths[0], *(_EXPANSION * width for width in widths))
        self.strides = tuple(2 << level for level in range(len(self.channels)))
        load_released(self, weights, of_pflayer)
        if freeze:
            self.requires_grad_(False)
            self.train()

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Feature maps, finest first."""
        return self.body(self.normalise(image))

    def train(self, mode: bool = True) -> "PfResNet":
        """As of any module, but a frozen encoder stays in evaluation."""
        return super().train(mode and not self.freeze)


class PfClassifier(nn.Module):
    """The published classifier: the mean of each channel, linear layer."""

    def __init__(self, encoder: PfResNet, classes: int = 1000) -> None:
        super().__init__()
        self.normalise, self.body = encoder.normalise, encoder.body
        self.head = nn.Linear(encoder.channels[-1], classes)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Logits of an image in 0..1."""
        return self.head(self.body(self.normalise(image))[-1].mean((2, 3)))


class PfBody(nn.Module):
    """Stem and stages; arguments as of PfResNet. The image comes normalised."""

    def __init__(self, block: Block, depths: Sequence[int], widths: Sequence[int], in_chans: int) -> None:
        super().__init__()
        self.stem = ConvNormAct(in_chans, widths[0], 7, stride=2)
        incoming = [widths[0], *(_EXPANSION * width for width in widths)]
        self.stages = nn.ModuleList(
            stage(block, before, width, depth, 1 + (level > 0), _EXPANSION)
            for level, ((before, _), width, depth) in enumerate(zip(pairwise(incoming), widths, depths, strict=True))
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """The stem's map and one for each stage, finest first."""
        maps = [self.stem(image)]
        x = self.pool(maps[0])
        for blocks in self.stages:
            x = blocks(x)
            maps.append(x)
        return maps


def max_block(in_channels: int, width: int, stride: int) -> Residual:
    """Bottleneck with the largest value of 3x3 cells instead of a convolution; beyond the border is nothing."""
    return _bottleneck(in_channels, width, stride, nn.MaxPool2d(3, stride, padding=1))


def hybrid_block(in_channels: int, width: int, stride: int) -> Residual:
    """``max_block``, but with a stride the mean of 2x2 cells and a 3x3 convolution (section 4)."""
    if stride == 1:
        return max_block(in_channels, width, stride)
    return _bottleneck(in_channels, width, stride, nn.Sequential(nn.AvgPool2d(stride), ConvNormAct(width, width)))


def of_pflayer(tensors: Tensors) -> Tensors:
    """Tensors of ``PfBody`` from a classifier of github.com/naver-ai/PfLayer, which counts stages from 1."""
    body = {name: value for name, value in tensors.items() if not name.startswith("fc.")}
    counted = {f"layer{int(name[5]) - 1}{name[6:]}" if name.startswith("layer") else name: body[name] for name in body}
    return renamed(counted, _NAMES)


def _bottleneck(in_channels: int, width: int, stride: int, space: nn.Module) -> Residual:
    reduce = ConvNormAct(in_channels, width, 1)
    expand = ConvNormAct(width, _EXPANSION * width, 1, act=nn.Identity)
    return Residual(nn.Sequential(reduce, space, expand), in_channels, _EXPANSION * width, stride)
