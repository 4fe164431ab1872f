"""A second reading of a cell, in training alone: by the columns of what is seen of it."""

from jaxtyping import Float, Int64
from torch import Tensor, nn

from visionkit.decoders.cell_views import BoxView
from visionkit.losses.ctc import ctc_loss


class ColumnCTC(nn.Module):
    """CTC over the columns of a cell's view, beside the decoder that attends to it (Kim et al. 2017, "Joint
    CTC-Attention based End-to-End Speech Recognition", arXiv 1609.06773, section 2.3).

    It teaches the map to show characters before attention has learnt where to look. For cells of one line of text: of
    each column, the largest value of its rows is read.

    Args:
        vocabulary: ids of content; the blank is one more.
        view: of the cells.
    """

    def __init__(self, vocabulary: int, view: BoxView) -> None:
        super().__init__()
        self.size, self.blank = view.size, vocabulary
        self.classify = nn.Linear(view.out_channels, vocabulary + 1)

    def forward(self, views: Float[Tensor, "s n c"], content: Int64[Tensor, "s l"], end: int) -> Float[Tensor, ""]:
        """Negative log-likelihood for each token of ``content`` (begin, tokens, ``end``), as a mean over the cells."""
        columns = views.unflatten(1, self.size).amax(1)
        ids = [[token for token in row[1:] if 0 <= token != end] for row in content.tolist()]
        frames = content.new_full((len(content),), columns.shape[1])
        return ctc_loss(self.classify(columns), ids, frames, self.blank)
