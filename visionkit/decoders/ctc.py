"""CTC head: scores of all tokens and of the blank for every column of a line (Graves et al. 2006)."""

from jaxtyping import Float
from torch import Tensor, nn


class CTC(nn.Module):
    """A linear layer over the columns of a map, whose rows are averaged.

    Args:
        channels: of the map.
        vocabulary: tokens that each column may hold, the blank among them.
        dropout: of the columns' features in training, 0..1.
    """

    def __init__(self, channels: int, vocabulary: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(channels, vocabulary)

    def forward(self, line: Float[Tensor, "b c h w"]) -> Float[Tensor, "b w v"]:
        """Logits of every column."""
        return self.classify(self.dropout(line.mean(2).transpose(1, 2)))
