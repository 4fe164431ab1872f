"""CTC over the columns of a cell: against torch's loss of each cell alone, and what it cannot align."""

import pytest
import torch
from torch.nn import functional as F

from visionkit.decoders.cell_columns import ColumnCTC
from visionkit.decoders.cell_views import BoxView
from visionkit.text.batches import filled_up

END, BEGIN = 3, 4


def reader() -> ColumnCTC:
    torch.manual_seed(0)
    return ColumnCTC(6, BoxView(4, 7, size=(2, 5), width=8))


def content(*texts: list[int], end: bool = True) -> torch.Tensor:
    return filled_up([[BEGIN, *text, *[END] * end] for text in texts])


@pytest.mark.parametrize("end", [True, False])
def test_the_loss_is_the_mean_of_each_cell_alone(end):
    columns, texts = reader(), [[0, 1, 2], [2], [1, 1]]
    views = torch.randn(3, 10, 8)
    alone = []
    for view, text in zip(views, texts, strict=True):
        logits = columns.classify(torch.maximum(view[:5], view[5:])).log_softmax(-1)
        size = (torch.tensor([5]), torch.tensor([len(text)]))
        alone.append(F.ctc_loss(logits[:, None], torch.tensor([text]), *size, blank=6, reduction="sum") / len(text))
    torch.testing.assert_close(columns(views, content(*texts, end=end), END), torch.stack(alone).mean())


def test_a_cell_longer_than_its_columns_is_left_out():
    columns, views = reader(), torch.randn(2, 10, 8)
    both = columns(views, content([0, 0, 0, 0], [1]), END)
    torch.testing.assert_close(both, columns(views[1:], content([1]), END) / 2)


def test_no_cells_cost_nothing():
    loss = reader()(torch.zeros(0, 10, 8), content(), END)
    assert float(loss) == 0
