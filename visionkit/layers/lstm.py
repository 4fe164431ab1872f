"""An LSTM that reads a sequence both ways and that can be exported with sequences of any length.

torch unrolls an LSTM step by step when it exports it, which fixes the length; as an operation of its own it stays one
node, for which ``bundle/onnx_operations.py`` has ONNX's own LSTM.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class BothWays(nn.LSTM):
    """Layers of LSTM in both directions (Graves and Schmidhuber 2005); both of a layer feed the next.

    Args:
        channels: that come in.
        hidden: of each direction.
        layers: one above the other.
        dropout: between layers in training.
    """

    def __init__(self, channels: int, hidden: int, layers: int = 1, dropout: float = 0.0) -> None:
        between = dropout if layers > 1 else 0.0
        super().__init__(channels, hidden, layers, batch_first=True, bidirectional=True, dropout=between)

    def forward(self, x: Float[Tensor, "b t c"]) -> Float[Tensor, "b t d"]:  # type: ignore[override]
        """``2 * hidden`` channels: forwards, then backwards."""
        if torch.compiler.is_exporting():
            return lstm_both_ways(x, self._flat_weights, self.hidden_size, self.num_layers)
        return super().forward(x)[0]  # type: ignore[has-type]


@torch.library.custom_op("visionkit::lstm_both_ways", mutates_args=())
def lstm_both_ways(x: Tensor, weights: Sequence[Tensor], hidden: int, layers: int) -> Tensor:
    """The same as ``BothWays`` in evaluation; ``weights`` in the order of torch's LSTM."""
    start = x.new_zeros(2 * layers, x.shape[0], hidden)
    return torch.lstm(x, (start, start), list(weights), True, layers, 0.0, False, True, True)[0]


@lstm_both_ways.register_fake
def _(x: Tensor, weights: Sequence[Tensor], hidden: int, layers: int) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1], 2 * hidden)
