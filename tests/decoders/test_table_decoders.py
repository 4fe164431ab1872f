"""Both decoders over the step interface: piece by piece as at once, and told apart by their condition."""

from functools import partial

import pytest
import torch

from visionkit.decoders.edd import TableLSTM
from visionkit.decoders.table_transformer import TableTransformer

DECODERS = [
    partial(TableLSTM, hidden=6, embedding=4, attention=5),
    partial(TableTransformer, width=8, depth=2, heads=2, hidden=12),
]


@pytest.fixture(params=DECODERS, ids=["lstm", "transformer"])
def make(request):
    torch.manual_seed(0)
    return request.param


def given(count: int = 3):
    torch.manual_seed(1)
    valid = torch.rand(count, 7) < 0.8
    return torch.randn(count, 7, 5), valid | ~valid.any(1, keepdim=True), torch.randint(9, (count, 8))


@pytest.mark.parametrize("condition", [0, 3])
def test_piece_by_piece_is_as_at_once(make, condition):
    decoder = make(vocabulary=9, channels=5, condition=condition).eval()
    memory, valid, tokens = given()
    told = torch.randn(3, condition) if condition else None
    with torch.no_grad():
        whole, _ = decoder.step(tokens, decoder.start(memory, valid, told))
        state, parts = decoder.start(memory, valid, told), []
        for piece in (tokens[:, :1], tokens[:, 1:5], tokens[:, 5:]):
            part, state = decoder.step(piece, state)
            parts.append(part)
        # Four tokens, of which all but one, none and two are taken back.
        _, state = decoder.step(tokens[:, :4], decoder.start(memory, valid, told))
        taken = torch.tensor([1, 4, 2])
        logits, state = decoder.step(tokens[torch.arange(3), taken][:, None], state.rewind(taken))
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    assert whole.shape == (3, 8, decoder.vocabulary)
    torch.testing.assert_close(logits[:, 0], whole[torch.arange(3), taken])
    assert state.lengths.tolist() == [2, 5, 3]


def test_padding_of_the_memory_changes_nothing(make):
    decoder = make(vocabulary=9, channels=5).eval()
    memory, valid, tokens = given()
    changed = memory.masked_fill(~valid[..., None], 50.0)
    with torch.no_grad():
        first, second = (decoder.step(tokens, decoder.start(values, valid))[0] for values in (memory, changed))
    torch.testing.assert_close(first, second)


def test_the_condition_is_heard_and_each_sequence_hears_its_own(make):
    decoder = make(vocabulary=9, channels=5, condition=3).eval()
    memory, valid, tokens = given()
    told = torch.randn(3, 3)
    other = torch.cat([told[:2], told[2:] + 1])
    with torch.no_grad():
        first, second = (decoder.step(tokens, decoder.start(memory, valid, c))[0] for c in (told, other))
    torch.testing.assert_close(first[:2], second[:2])
    assert float((first[2] - second[2]).abs().min(1).values.max()) > 1e-4


def test_the_states_make_the_logits(make):
    decoder = make(vocabulary=9, channels=5).eval()
    memory, valid, tokens = given()
    with torch.no_grad():
        outputs, _ = decoder.trace(tokens, decoder.start(memory, valid))
        logits, _ = decoder.step(tokens, decoder.start(memory, valid))
    assert outputs.shape[2] == decoder.out_channels
    torch.testing.assert_close(decoder.head(outputs), logits)
