"""CTC over columns that an LSTM has read, and a shortcut past the LSTM that guides the training (Retsinas et al. 2022,
"Best Practices for a Handwritten Text Recognition System", arXiv 2404.11339)."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from visionkit.layers.lstm import BothWays
from visionkit.losses.ctc import ctc_loss


class RecurrentCTC(nn.Module):
    """The largest value of each column, read both ways by an LSTM, then a linear layer.

    Args:
        channels: of the map.
        vocabulary: tokens that each column may hold, the blank among them.
        hidden: of the LSTM in each direction.
        layers: of the LSTM.
        dropout: of the LSTM's inputs and of what it gives in training, 0..1.
    """

    def __init__(
        self, channels: int, vocabulary: int, hidden: int = 128, layers: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.lstm = BothWays(channels, hidden, layers, dropout)
        self.classify = nn.Linear(2 * hidden, vocabulary)

    def forward(self, line: Float[Tensor, "b c h w"]) -> Float[Tensor, "b w v"]:
        """Logits of every column."""
        columns = line.amax(2).transpose(1, 2)
        return self.classify(self.dropout(self.lstm(self.dropout(columns))))


class Shortcut(nn.Module):
    """CTC of the same columns through one convolution: the map learns letters before the LSTM can read them.

    Args:
        channels: of the map.
        vocabulary: tokens, 0 being the blank.
        kernel_size: columns that the convolution sees.
    """

    def __init__(self, channels: int, vocabulary: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.classify = nn.Conv1d(channels, vocabulary, kernel_size, padding=kernel_size // 2)

    def forward(
        self, line: Float[Tensor, "b c h w"], ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, ""]:
        """The loss; ``valid`` are the map's real cells."""
        return ctc_loss(self.logits(line, valid), ids, valid.any(1).sum(1))

    def logits(self, line: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b w v"]:
        """Of every column; cells that are not valid are seen as the nothing beyond the map."""
        columns = line.masked_fill(~valid[:, None], -torch.inf).amax(2)
        return self.classify(columns.masked_fill(~valid.any(1)[:, None], 0)).transpose(1, 2)
