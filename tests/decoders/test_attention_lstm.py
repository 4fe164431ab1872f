import pytest
import torch
from torch import nn

from visionkit.decoders.attention_lstm import AttentionLSTM
from visionkit.generation.beam import beam
from visionkit.generation.greedy import greedy
from visionkit.generation.speculative import speculative


def tiny(location: int = 3) -> AttentionLSTM:
    torch.manual_seed(0)
    decoder = AttentionLSTM((3,), (4,), vocabulary=6, width=8, keys=4, location=location, dropout=0.0).double().eval()
    nn.init.normal_(decoder.head.weight, std=2.0)
    return decoder


def memory(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    valid = torch.ones(count, 5, dtype=torch.bool)
    valid[-1, 3:] = False
    return torch.randn(count, 5, 8, dtype=torch.float64), valid


@torch.no_grad()
def test_a_step_is_the_formula() -> None:
    decoder, (cells, valid) = tiny(location=0), memory(1)
    logits, state = decoder.step(torch.tensor([[2]]), decoder.start(cells, valid))
    look, lstm = decoder.lstm.attention, decoder.lstm.lstm
    hidden, kept = decoder.lstm.initial(cells[:, :3].mean(1)).tanh().chunk(2, -1)
    scores = look.energy((look.memory(cells[0, :3]) + look.query(hidden)).tanh())[:, 0]
    glimpse = (scores.softmax(0)[:, None] * cells[0, :3]).sum(0, keepdim=True)
    token = decoder.embed.weight[2][None]
    hidden, kept = lstm(torch.cat([token, glimpse], 1), (hidden, kept))
    torch.testing.assert_close(logits[:, 0], decoder.head(torch.cat([hidden, glimpse], 1)))
    torch.testing.assert_close(state.attention[0, 0, :3], scores.softmax(0))
    assert state.attention[0, 0, 3:].tolist() == [0, 0]
    state.attention[0, 0, 2] = 0  # the last real one means the end
    assert torch.equal(decoder.attention(cells, torch.tensor([[2]]), valid), state.attention[..., :-1])


@torch.no_grad()
def test_the_end_stands_behind_the_last_real_cell_of_each_picture() -> None:
    decoder = tiny()
    valid = torch.ones(3, 4, 16, dtype=torch.bool)
    valid[1, :, 7:], valid[2, :, 1:] = False, False
    features = [torch.rand(3, 3, 1, 4).double()]
    cells, seen = decoder.memory(features, valid)
    assert seen.tolist() == [[[True] * 5], [[True, True, True, False, False]], [[True, True, False, False, False]]]
    for row, place in enumerate((4, 2, 1)):
        torch.testing.assert_close(cells[row, place], decoder.last)
    torch.testing.assert_close(decoder.memory(features)[0][0], cells[0])


@torch.no_grad()
def test_the_end_of_several_rows_stands_behind_the_last() -> None:
    decoder = tiny()
    valid = torch.ones(2, 8, 12, dtype=torch.bool)
    valid[1, 4:], valid[1, :, 8:] = False, False
    cells, seen = decoder.memory([torch.rand(2, 3, 2, 3).double()], valid)
    assert seen.tolist() == [
        [[True, True, True, False], [True, True, True, True]],
        [[True, True, True, False], [False, False, False, False]],
    ]
    torch.testing.assert_close(cells[0, 7], decoder.last)
    torch.testing.assert_close(cells[1, 2], decoder.last)


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("location", [0, 3, 5])
@torch.no_grad()
def test_a_line_is_read_the_same_alone_and_beside_a_longer_one(rows: int, location: int) -> None:
    decoder, maps = tiny(location), torch.rand(2, 3, rows, 9).double()
    valid = torch.ones(2, 4 * rows, 36, dtype=torch.bool)
    valid[0, :, 20:] = False
    maps[0, :, :, 5:] = 9
    tokens = torch.randint(6, (2, 12))
    cells, seen = decoder.memory([maps], valid)
    together, _ = decoder.step(tokens, decoder.start(cells, seen))
    looks = decoder.attention(cells, tokens, seen).unflatten(2, (rows, 9))
    cells, seen = decoder.memory([maps[:1, :, :, :5]], valid[:1, :, :20])
    alone, _ = decoder.step(tokens[:1], decoder.start(cells, seen))
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-9)
    torch.testing.assert_close(looks[:1, ..., :5].flatten(2), decoder.attention(cells, tokens[:1], seen))
    assert not looks[0, ..., 5:].any()


@torch.no_grad()
def test_one_by_one_is_all_at_once_and_rows_do_not_mix() -> None:
    decoder, (cells, valid) = tiny(), memory()
    tokens = torch.randint(6, (3, 7))
    together, _ = decoder.step(tokens, decoder.start(cells, valid))
    state, single = decoder.start(cells, valid), []
    for place in range(7):
        logits, state = decoder.step(tokens[:, place : place + 1], state)
        single.append(logits)
    torch.testing.assert_close(torch.cat(single, 1), together)
    for row in range(3):
        own, _ = decoder.step(tokens[row : row + 1], decoder.start(cells[row : row + 1], valid[row : row + 1]))
        torch.testing.assert_close(own, together[row : row + 1])


@torch.no_grad()
def test_tokens_are_taken_back_row_by_row() -> None:
    decoder, (cells, valid) = tiny(), memory()
    tokens, more = torch.randint(6, (3, 5)), torch.randint(6, (3, 2))
    _, state = decoder.step(tokens, decoder.start(cells, valid))
    lengths = torch.tensor([1, 5, 3])
    again, state = decoder.step(more, state.rewind(lengths))
    assert state.lengths.tolist() == [3, 7, 5]
    for row, length in enumerate(lengths):
        whole = torch.cat([tokens[row : row + 1, :length], more[row : row + 1]], 1)
        want, _ = decoder.step(whole, decoder.start(cells[row : row + 1], valid[row : row + 1]))
        torch.testing.assert_close(again[row], want[0, -2:])
    swapped, _ = decoder.step(more[[2, 0, 2]], state.rewind(lengths).select(torch.tensor([2, 0, 2])))
    torch.testing.assert_close(swapped[1], again[0])


@torch.no_grad()
def test_greedy_is_a_beam_of_one_and_speculation_loses_nothing() -> None:
    decoder, (cells, valid) = tiny(), memory()
    options = {"start": 0, "end": 0, "max_length": 12}
    want = greedy(decoder, cells, valid, **options)
    assert beam(decoder, cells, valid, width=1, **options).rows() == want.rows()
    assert speculative(decoder, cells, valid, **options).rows() == want.rows()


@torch.no_grad()
def test_padding_is_not_looked_at() -> None:
    decoder, (cells, valid) = tiny(), memory()
    before, _ = decoder.step(torch.zeros(3, 4, dtype=torch.int64), decoder.start(cells, valid))
    cells[-1, 3:] = 50
    after, _ = decoder.step(torch.zeros(3, 4, dtype=torch.int64), decoder.start(cells, valid))
    assert torch.equal(before, after)
