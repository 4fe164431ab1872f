"""CTC over columns that an LSTM has read, and its shortcut."""

import pytest
import torch
from torch.nn import functional as F

from visionkit.decoders.recurrent_ctc import RecurrentCTC, Shortcut


@torch.no_grad()
def test_an_lstm_reads_the_largest_value_of_each_column() -> None:
    torch.manual_seed(0)
    head, line = RecurrentCTC(4, 7, hidden=5, layers=2).eval(), torch.rand(2, 4, 3, 6)
    lstm = torch.nn.LSTM(4, 5, 2, batch_first=True, bidirectional=True)
    lstm.load_state_dict(head.lstm.state_dict())
    columns = torch.stack([line[:, :, :, place].max(2).values for place in range(6)], 1)
    want = lstm(columns)[0] @ head.classify.weight.T + head.classify.bias
    torch.testing.assert_close(head(line), want)


def test_the_shortcut_is_ctc_of_three_columns_each() -> None:
    torch.manual_seed(0)
    head, line, ids = Shortcut(4, 7).double(), torch.rand(2, 4, 2, 6).double(), [[3, 3], [1]]
    valid = torch.ones(2, 2, 6, dtype=torch.bool)
    valid[1, :, 4:] = valid[0, 1] = False
    columns = F.pad(line.amax(2), (1, 1))
    columns[1, :, 1 + 4 :] = 0
    columns[0, :, 1:-1] = line[0, :, 0]
    weight, bias = head.classify.weight, head.classify.bias
    rows = [torch.einsum("bcw,vcw->bv", columns[:, :, place : place + 3], weight) + bias for place in range(6)]
    log_probs = torch.stack(rows).log_softmax(-1)
    nll = F.ctc_loss(log_probs, torch.tensor([3, 3, 1]), torch.tensor([6, 4]), torch.tensor([2, 1]), reduction="none")
    torch.testing.assert_close(head(line, ids, valid), (nll / torch.tensor([2, 1])).mean())


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 9)], ids=str)
def test_the_smallest_maps(size: tuple[int, int]) -> None:
    line = torch.rand(2, 4, *size, requires_grad=True)
    valid = torch.ones(2, *size, dtype=torch.bool)
    loss = RecurrentCTC(4, 7, hidden=2, layers=1)(line).sum() + Shortcut(4, 7)(line, [[1], []], valid)
    loss.backward()
    assert line.grad is not None
    assert line.grad.isfinite().all()
