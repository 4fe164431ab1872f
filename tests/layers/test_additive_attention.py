"""The LSTM's state against running it from the start."""

import pytest
import torch

from visionkit.layers.additive_attention import AttentionLSTM


@pytest.fixture(params=[(0, 0), (2, 0), (0, 3)])
def begun(request):
    torch.manual_seed(1)
    told, location = request.param
    lstm = AttentionLSTM(inputs=3, memory=4, hidden=5, attention=6, condition=told, location=location)
    condition = torch.randn(3, told) if told else None
    return lstm, lstm.start(torch.randn(3, 7, 4), torch.rand(3, 7) < 0.8, condition), torch.randn(3, 9, 3)


def test_one_step_over_all_is_many_steps(begun):
    lstm, state, inputs = begun
    whole, end = lstm(inputs, state)
    parts = []
    for piece in (inputs[:, :1], inputs[:, 1:4], inputs[:, 4:]):
        part, state = lstm(piece, state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(state.newest(), end.newest())
    torch.testing.assert_close(state.newest_look(), end.newest_look())
    assert state.lengths.tolist() == [9, 9, 9]
    assert whole.shape == (3, 9, lstm.out_channels)


def test_rewound_and_selected_states_go_on_as_if_nothing_had_been(begun):
    lstm, state, inputs = begun
    _, later = lstm(inputs[:, :6], state)
    back = later.rewind(torch.tensor([2, 6, 4]))
    outputs, after = lstm(inputs[:, :2], back)
    rows = torch.tensor([2, 0, 2])
    chosen, _ = lstm(inputs[rows, :3], after.select(rows))
    with pytest.raises(ValueError, match="last step"):
        after.rewind(torch.tensor([3, 5, 4]))
    for row, length in enumerate((2, 6, 4)):
        tokens = torch.cat([inputs[row : row + 1, :length], inputs[row : row + 1, :2]], 1)
        plain, _ = lstm(tokens, state.select(torch.tensor([row])))
        torch.testing.assert_close(outputs[row], plain[0, -2:])
        more = torch.cat([tokens, inputs[row : row + 1, :3]], 1)
        plain, _ = lstm(more, state.select(torch.tensor([row])))
        for place in (rows == row).nonzero()[:, 0]:
            torch.testing.assert_close(chosen[place], plain[0, -3:])


def test_no_sequences_at_all(begun):
    lstm, state, inputs = begun
    none = torch.zeros(0, dtype=torch.long)
    outputs, after = lstm(inputs[none], state.select(none))
    assert outputs.shape == (0, 9, lstm.out_channels)
    assert after.lengths.shape == (0,)


@pytest.mark.parametrize("condition", [0, 2])
def test_mixed_precision_changes_nothing(condition):
    torch.manual_seed(0)
    lstm = AttentionLSTM(inputs=3, memory=4, hidden=5, attention=6, condition=condition)
    memory, told, inputs = torch.randn(3, 7, 4), torch.randn(3, condition), torch.randn(3, 9, 3)
    found = []
    for mixed in (False, True):
        lstm.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            outputs, _ = lstm(inputs, lstm.start(memory, None, told))
        outputs.sum().backward()
        found.append([outputs, *(value.grad for value in lstm.parameters())])
    assert all(torch.equal(exact, mixed) for exact, mixed in zip(*found, strict=True))


@torch.no_grad()
def test_hypotheses_of_the_same_memories_share_them():
    lstm = AttentionLSTM(inputs=3, memory=4, hidden=5, attention=6, location=3)
    state = lstm.start(torch.randn(3, 7, 4), torch.rand(3, 7) < 0.8)
    beams = state.select(torch.tensor([0, 0, 1, 1, 2, 2]))
    _, beams = lstm(torch.randn(6, 1, 3), beams)
    kept, others = torch.tensor([1, 1, 3, 2, 4, 5]), torch.tensor([2, 1, 3, 2, 4, 5])
    for name in ("keys", "values"):
        before = getattr(beams.read, name)[0]
        assert getattr(beams.select(kept).read, name)[0].data_ptr() == before.data_ptr()
        assert torch.equal(getattr(beams.select(others).read, name)[0], before[others])
    assert torch.equal(beams.select(kept).states, beams.states[kept])
