"""Greedy decoding against prefixes computed anew, row by row."""

import pytest
import torch
from tiny_decoders import END, START, greedy_written_out, tiny_decoder, tiny_memory

from visionkit.errors import ConfigError
from visionkit.generation.constraints import Automaton, OnPrefix
from visionkit.generation.greedy import greedy


def run(decoder, memory, valid, **options):
    return greedy(decoder, memory, valid, start=START, end=END, **{"max_length": 9, **options})


def body(tokens):
    return [token for token in tokens if token != END]


def test_same_as_written_out():
    lengths = set()
    for seed in range(8):
        decoder, (memory, valid) = tiny_decoder(seed), tiny_memory(seed)
        expected = greedy_written_out(decoder, memory, valid, 9)
        decoded = run(decoder, memory, valid)
        assert decoded.rows() == [body(tokens) for tokens, _ in expected]
        assert decoded.ended.tolist() == [tokens[-1] == END for tokens, _ in expected]
        for row, (tokens, log_probs) in enumerate(expected):
            length = len(body(tokens))
            lengths.add(length)
            assert decoded.log_probs[row, :length].tolist() == pytest.approx(log_probs[:length])
            assert decoded.log_probs[row, length:].isnan().all()
            assert float(decoded.confidence[row]) == pytest.approx(torch.tensor(log_probs).sum().exp().item())
    assert {0, 9} < lengths


def test_a_batch_is_its_rows():
    decoder, (memory, valid) = tiny_decoder(3), tiny_memory(3, count=7)
    together = run(decoder, memory, valid)
    for row in range(7):
        alone = run(decoder, memory[row : row + 1], valid[row : row + 1])
        assert alone.rows() == together.rows()[row : row + 1]
        torch.testing.assert_close(alone.log_prob, together.log_prob[row : row + 1])


def test_temperature_changes_probabilities_alone():
    decoder, (memory, valid) = tiny_decoder(5), tiny_memory(5)
    plain, flat = run(decoder, memory, valid), run(decoder, memory, valid, temperature=3.0)
    assert plain.rows() == flat.rows()
    assert (flat.confidence < plain.confidence).all()


def test_constraints():
    decoder, (memory, valid) = tiny_decoder(6), tiny_memory(6)
    # 1 and 2 take turns, and only after a 2 may the end come.
    automaton = Automaton([[-1, 1, -1, -1, -1], [-1, -1, 2, -1, -1], [2, 1, -1, -1, -1]])

    def allowed(tokens):
        mask = torch.zeros(5, dtype=torch.bool)
        mask[{0: [1], 1: [2], 2: [0, 1]}[tokens[-1] if tokens else 0]] = True
        return mask

    prefix = OnPrefix(lambda rows: torch.stack([allowed([t for t in row if t >= 0]) for row in rows.tolist()]), 9)
    expected = greedy_written_out(decoder, memory, valid, 9, allowed)
    for constraint in (automaton, prefix):
        decoded = run(decoder, memory, valid, constraint=constraint)
        assert decoded.rows() == [body(tokens) for tokens, _ in expected]
        assert decoded.log_prob.tolist() == pytest.approx([sum(log_probs) for _, log_probs in expected])


def test_where_nothing_may_follow_the_sequence_ends():
    decoder, (memory, valid) = tiny_decoder(), tiny_memory()
    nothing = OnPrefix(lambda rows: torch.zeros(len(rows), 5, dtype=torch.bool), 9)
    decoded = run(decoder, memory, valid, constraint=nothing)
    assert decoded.rows() == [[], [], []]
    assert decoded.confidence.tolist() == [1, 1, 1]
    assert decoded.ended.all()


def test_no_memories():
    decoder, (memory, valid) = tiny_decoder(), tiny_memory()
    decoded = run(decoder, memory[:0], valid[:0])
    assert decoded.tokens.shape == decoded.log_probs.shape == (0, 0)
    assert decoded.confidence.shape == (0,)


@pytest.mark.parametrize(
    ("options", "code"), [({"max_length": 0}, "C173"), ({"temperature": 0.0}, "C174"), ({"temperature": -1}, "C174")]
)
def test_settings_without_meaning(options, code):
    with pytest.raises(ConfigError, match=code):
        run(tiny_decoder(), *tiny_memory(), **options)


def test_an_automaton_needs_its_states():
    with pytest.raises(ConfigError, match="C172"):
        Automaton([[0, 1], [2, 0]])
