"""CTC heads: scores of all tokens and of the blank for every column of a line (Graves et al. 2006)."""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.decoders.line_map import LineMap
from visionkit.layers.strides import per_axis
from visionkit.types import Stride


class CTC(nn.Module):
    """A linear layer over the columns of a map whose rows are averaged.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2.
        vocabulary: tokens that each column may hold, the blank among them.
        map: makes the map that is read, as ``LineMap``.
        dropout: of columns' features in training, 0..1.

    Raises ConfigError C83 for volumes.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        vocabulary: int = 2,
        map: Callable[..., LineMap] = LineMap,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.map = map(channels=channels, strides=strides, spatial_dims=spatial_dims)
        self.column_px = per_axis(self.map.stride, 2)[1]
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.map.out_channels, vocabulary)

    def forward(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> Float[Tensor, "b t v"]:
        """Logits of every column, each ``column_px`` wide."""
        return self.read(self.map(features))

    def read(self, read_map: Float[Tensor, "b c h w"]) -> Float[Tensor, "b t v"]:
        """Logits from ``self.map``'s result."""
        return self.classify(self.dropout(read_map.mean(2).transpose(1, 2)))
