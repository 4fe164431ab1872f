"""SimpleNet: thirteen plain convolutions (Hasanpour et al. 2016, "Lets keep it simple, Using simple architectures to
outperform deeper and more complex architectures", arXiv 1608.06037; github.com/Coderx7/SimpleNet_Pytorch)."""

from collections.abc import Collection, Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.encoders.released import Tensors, load_released
from visionkit.errors import ConfigError
from visionkit.layers.normalise import Normalise


class SimpleNet(nn.Module):
    """One map for each stride, from the last convolution that has it.

    Args:
        widths: channels of the convolutions, in groups between which the map is halved by max pooling.
        pointwise: numbers of the convolutions that are 1x1 instead of 3x3, counted from 0.
        strides: of the first convolutions; the others have 1.
        scale: factor of all channels.
        dropout: share of the channels that training drops after each convolution that no pooling follows.
        in_chans: channels of the image.
        weights: local file: the authors' release, or a trained visionkit network; errors as of TimmEncoder.
        freeze: keep the encoder as it is: no gradients, batch statistics and dropout at rest.

    Raises ConfigError C90 for widths and strides that make no network.
    """

    spatial_dims = 2

    def __init__(
        self,
        widths: Sequence[Sequence[int]],
        pointwise: Collection[int] = (10, 11),
        strides: Sequence[int] = (),
        scale: float = 1.0,
        dropout: float = 0.0,
        in_chans: int = 3,
        weights: str | Path | None = None,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        self.in_chans, self.freeze = in_chans, freeze
        self.normalise = Normalise(in_chans)
        self.body = SimpleNetBody(widths, pointwise, strides, scale, dropout, in_chans)
        self.channels, self.strides = self.body.channels, self.body.strides
        load_released(self, weights, of_simplenet)
        if freeze:
            self.requires_grad_(False)
            self.train()

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Feature maps, finest first."""
        return self.body(self.normalise(image))

    def train(self, mode: bool = True) -> "SimpleNet":
        """As of any module, but a frozen encoder stays in evaluation."""
        return super().train(mode and not self.freeze)


class SimpleNetClassifier(nn.Module):
    """The published classifier: the largest value of each channel, dropout, linear layer."""

    def __init__(self, encoder: SimpleNet, classes: int = 1000, dropout: float = 0.0) -> None:
        super().__init__()
        self.normalise, self.body = encoder.normalise, encoder.body
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.channels[-1], classes)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Logits of an image in 0..1."""
        return self.head(self.dropout(self.body(self.normalise(image))[-1].amax((2, 3))))


class SimpleNetBody(nn.Module):
    """The convolutions; arguments as of SimpleNet. The image comes normalised."""

    def __init__(
        self,
        widths: Sequence[Sequence[int]],
        pointwise: Collection[int],
        strides: Sequence[int],
        scale: float,
        dropout: float,
        in_chans: int,
    ) -> None:
        super().__init__()
        last_of_group = [place == len(group) - 1 for group in widths for place in range(len(group))]
        channels = [in_chans, *(round(width * scale) for group in widths for width in group)]
        count = len(channels) - 1
        _check(widths, strides, count)
        steps = [*strides, *[1] * (count - len(strides))]
        self.layers = nn.ModuleList()
        taps, stride = [], 1
        for index, (last, step) in enumerate(zip(last_of_group, steps, strict=True)):
            pooled = index > 0 and last_of_group[index - 1]
            kernel_size = 1 if index in pointwise else 3
            rate = 0.0 if last else dropout
            self.layers.append(Layer(channels[index], channels[index + 1], kernel_size, step, pooled, rate))
            if index and (pooled or step > 1):
                taps.append((index - 1, stride))
            stride *= step * (2 if pooled else 1)
        taps.append((count - 1, stride))
        self.taps = {index for index, _ in taps}
        self.strides = tuple(stride for _, stride in taps)
        self.channels = tuple(channels[index + 1] for index, _ in taps)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """One map for each stride, finest first."""
        x, maps = image, []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.taps:
                maps.append(x)
        return maps


class Layer(nn.Sequential):
    """Perhaps a pooling; then convolution, batch normalisation, ReLU, and dropout of channels."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, pooled: bool, dropout: float
    ) -> None:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2)
        nn.init.xavier_uniform_(conv.weight, gain=nn.init.calculate_gain("relu"))
        pool = nn.MaxPool2d(2) if pooled else nn.Identity()
        super().__init__(pool, conv, nn.BatchNorm2d(out_channels, momentum=0.05), nn.ReLU(), nn.Dropout2d(dropout))


def of_simplenet(tensors: Tensors) -> Tensors:
    """Tensors of ``SimpleNetBody`` from a classifier of github.com/Coderx7/SimpleNet_Pytorch.

    There all layers stand in one row, convolutions and normalisations by turns.
    """
    features = {name: value for name, value in tensors.items() if not name.startswith("classifier.")}
    numbers = sorted({int(name.split(".")[1]) for name in features if name.startswith("features.")})
    places = {number: f"layers.{order // 2}.{1 + order % 2}" for order, number in enumerate(numbers)}
    return {
        f"{places[int(name.split('.')[1])]}.{name.split('.')[2]}" if name.startswith("features.") else name: value
        for name, value in features.items()
    }


def _check(widths: Sequence[Sequence[int]], strides: Sequence[int], count: int) -> None:
    if not count or not all(widths) or len(strides) > count or not set(strides) <= {1, 2}:
        what = f"widths {[list(group) for group in widths]} and strides {list(strides)} make no network"
        raise ConfigError("C90", "encoder", what, "give groups of widths, and strides 1 or 2 for the first of them")
