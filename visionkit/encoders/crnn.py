"""CRNN: convolutions that keep the width of a line, and an LSTM that reads its columns both ways (Shi et al. 2017,
"An End-to-End Trainable Neural Network for Image-Based Sequence Recognition", arXiv 1507.05717)."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.encoders.line_convs import LineConvs
from visionkit.encoders.weights import load_exactly, part, read_weights
from visionkit.layers.lstm import BothWays


class CRNN(nn.Module):
    """One map of stride (16, 4), whose rows are the same: what the line says does not depend on them.

    The largest value of each column of the last stage is what the LSTM reads (column-wise max pooling, Retsinas et al.
    2022, "Best Practices for a Handwritten Text Recognition System", arXiv 2404.11339).

    Args:
        channels: of the four stages of convolutions.
        depths: 3x3 convolutions of each stage.
        hidden: of the LSTM in each direction.
        layers: of the LSTM.
        in_chans: channels of the image.
        dropout: of the LSTM's inputs in training, 0..1.
        mean, std: of the images, in 0..1.
        weights: local file with the weights of such an encoder, or with those of a trained visionkit network.

    Raises ConfigError C191 for channels or depths that make no four stages, C23 to C25 for unusable ``weights``.
    """

    spatial_dims = 2
    strides = LineConvs.strides

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64, 128),
        depths: Sequence[int] = (1, 1, 2, 2),
        hidden: int = 128,
        layers: int = 2,
        in_chans: int = 1,
        dropout: float = 0.1,
        mean: float = 0.5,
        std: float = 0.25,
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.in_chans, self.channels = in_chans, (2 * hidden,)
        self.convs = LineConvs(channels, depths, in_chans, mean, std)
        self.dropout = nn.Dropout(dropout)
        self.lstm = BothWays(channels[-1], hidden, layers, dropout)
        if weights:
            tensors = read_weights(weights)
            load_exactly(self, part(tensors, "encoder.") or tensors, weights)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """The one map."""
        x = self.convs(image)[0]
        columns = self.dropout(x.amax(2).transpose(1, 2))
        read = self.lstm(columns).transpose(1, 2)
        return [read[:, :, None].expand(-1, -1, x.shape[2], -1)]
