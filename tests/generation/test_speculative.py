"""Drafts change the number of steps and nothing else."""

from functools import partial

import pytest
import torch
from tiny_decoders import END, START, RowModels, tiny_decoder, tiny_memory
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from visionkit.generation.constraints import Automaton
from visionkit.generation.greedy import greedy
from visionkit.generation.ngram_draft import NGramDraft
from visionkit.generation.speculative import speculative
from visionkit.layers.positions import LearnedPositions

IDS = {"start": START, "end": END}


class Counted:
    """A decoder that counts its steps."""

    def __init__(self, decoder):
        self.decoder, self.vocabulary, self.start, self.steps = decoder, decoder.vocabulary, decoder.start, 0

    def step(self, tokens, state):
        self.steps += 1
        return self.decoder.step(tokens, state)


def same(found, expected):
    assert torch.equal(found.tokens, expected.tokens)
    assert torch.equal(found.ended, expected.ended)
    torch.testing.assert_close(found.log_probs, expected.log_probs, equal_nan=True)
    torch.testing.assert_close(found.log_prob, expected.log_prob)


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_a_thousand_random_models_and_inputs(count):
    decoder = Counted(RowModels())
    memory = decoder.decoder.memory(count, 250)
    expected, plain = greedy(decoder, memory, **IDS, max_length=40), decoder.steps
    decoder.steps = 0
    found = speculative(decoder, memory, **IDS, max_length=40, draft=lambda: NGramDraft(count, least=0.5))
    same(found, expected)
    assert len({tuple(row) for row in found.rows()}) > 100
    assert 50 < int(found.ended.sum()) < 230
    assert decoder.steps < plain


def test_random_transformers():
    decoder = Counted(tiny_decoder(0, 4, width=4, depth=1, heads=1, hidden=4))
    shape = parameters_to_vector(decoder.decoder.parameters()).shape
    generator = torch.Generator().manual_seed(0)
    plain = drafted = 0
    for number in range(30):
        weights = 1.5 * torch.randn(shape, generator=generator, dtype=torch.float64)
        vector_to_parameters(weights, decoder.decoder.parameters())
        memory, valid = tiny_memory(number, count=1 + number % 3, cells=2, width=4)
        decoder.steps = 0
        expected = greedy(decoder, memory, valid, **IDS, max_length=14)
        plain, decoder.steps = plain + decoder.steps, 0
        draft = partial(NGramDraft, 1 + number % 7, least=0.5)
        same(speculative(decoder, memory, valid, **IDS, max_length=14, draft=draft), expected)
        drafted += decoder.steps
    assert drafted < 0.75 * plain


def test_probabilities_and_rows_that_drift_apart():
    for seed in range(3):
        decoder, (memory, valid) = tiny_decoder(seed, sharp=2.0), tiny_memory(seed, count=7)
        same(
            speculative(decoder, memory, valid, **IDS, max_length=40, temperature=1.7),
            greedy(decoder, memory, valid, **IDS, max_length=40, temperature=1.7),
        )


def test_no_row_needs_positions_beyond_the_greatest_length():
    for seed in range(6):
        decoder = tiny_decoder(seed, positions=partial(LearnedPositions, longest=40))
        memory, valid = tiny_memory(seed, count=8)
        expected = greedy(decoder, memory, valid, **IDS, max_length=40)
        same(speculative(decoder, memory, valid, **IDS, max_length=40), expected)


def test_under_a_constraint():
    automaton = Automaton([[-1, 1, -1, 1, -1], [-1, -1, 2, 2, 2], [2, 1, -1, -1, 0]])
    for seed in range(3):
        decoder, (memory, valid) = Counted(tiny_decoder(seed)), tiny_memory(seed)
        expected = greedy(decoder, memory, valid, **IDS, max_length=30, constraint=automaton)
        same(speculative(decoder, memory, valid, **IDS, max_length=30, constraint=automaton), expected)


class Wrong:
    """Drafts that are never right, and drafts that hold the end."""

    def __init__(self, tokens):
        self.tokens = tokens

    def extend(self, tokens):
        pass

    def propose(self):
        return self.tokens


@pytest.mark.parametrize("tokens", [[1] * 20, [END], [3, END, 2], [4, 4]])
@pytest.mark.parametrize("max_length", [1, 2, 9])
def test_any_draft_will_do(tokens, max_length):
    decoder, (memory, valid) = tiny_decoder(7), tiny_memory(7)
    found = speculative(decoder, memory, valid, **IDS, max_length=max_length, draft=lambda: Wrong(tokens))
    same(found, greedy(decoder, memory, valid, **IDS, max_length=max_length))


def test_no_memories():
    decoder, (memory, valid) = tiny_decoder(), tiny_memory()
    decoded = speculative(decoder, memory[:0], valid[:0], **IDS)
    assert decoded.tokens.shape == decoded.log_probs.shape == (0, 0)


def test_the_draft_goes_on_where_the_longest_run_stood_last():
    draft = NGramDraft(count=3, longest=2)
    draft.extend([7, 1, 2, 3, 9, 2, 4, 1, 2])
    assert draft.propose() == [3, 9, 2]  # after 1, 2
    draft.extend([5, 2])
    assert draft.propose() == [5, 2, 5]  # after the latest 2, and then itself
    assert NGramDraft().propose() == []


def test_a_period_goes_on():
    draft = NGramDraft(count=8)
    draft.extend([4, 1, 2, 3, 1, 2, 3])
    assert draft.propose() == [1, 2, 3, 1, 2, 3, 1, 2]


def test_a_draft_grows_while_all_of_it_is_right():
    draft, period, lengths = NGramDraft(count=2, most=8), [1, 2, 3], []
    written = period * 2
    draft.extend(written)
    for _ in range(5):
        guess = draft.propose()
        lengths.append(len(guess))
        new = [period[(len(written) + index) % 3] for index in range(len(guess) + 1)]
        assert guess == new[:-1]
        draft.extend(new)
        written += new
    assert lengths == [2, 4, 8, 8, 8]
    draft.propose()
    draft.extend([9])
    draft.extend([1])
    assert len(draft.propose()) == 2


def test_switched_off_and_on_again():
    draft = NGramDraft(count=4, most=4, longest=3, least=1.0, memory=0.5)
    draft.extend([1])
    for number in range(100, 104):
        assert draft.active
        draft.propose()
        draft.extend([number, 1])
    assert not draft.active
    assert draft.propose() == []
    for _ in range(10):
        draft.extend([1, 2, 3, 4, 5])
        draft.propose()
    assert draft.active
    assert draft.propose() == [1, 2, 3, 4]
