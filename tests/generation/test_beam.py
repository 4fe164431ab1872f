"""Beam search against all sequences there are, against greedy decoding, and against beams written out."""

import math

import pytest
import torch
from tiny_decoders import END, START, every_sequence, tiny_decoder, tiny_memory

from visionkit.errors import ConfigError
from visionkit.generation.beam import beam, diverse, hypotheses
from visionkit.generation.constraints import Automaton
from visionkit.generation.greedy import greedy

IDS = {"start": START, "end": END}
EVERYTHING = 1 + 2 + 4 + 8 + 16
"""Sequences of at most four of three tokens, one of which ends them."""


def body(sequence):
    return [token for token in sequence if token != END]


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_wide_enough_is_all_sequences(groups, length_penalty):
    for seed in range(3):
        decoder, (memory, valid) = tiny_decoder(seed, 3, 2.0), tiny_memory(seed)
        everything = every_sequence(decoder, memory, valid, 4)
        options = {"width": EVERYTHING * groups, "groups": groups, "diversity": 0.4, "max_length": 4}
        found = hypotheses(decoder, memory, valid, **IDS, **options, length_penalty=length_penalty)[0]
        several = hypotheses(decoder, memory, valid, **IDS, **options, length_penalty=length_penalty, count=5)
        for row, scores in enumerate(everything):
            ranking = sorted(scores, key=lambda each: -scores[each] / len(each) ** length_penalty)
            assert found.rows()[row] == body(ranking[0])
            assert float(found.log_prob[row]) == pytest.approx(scores[ranking[0]])
            assert bool(found.ended[row]) == (ranking[0][-1] == END)
            assert [each.rows()[row] for each in several] == [body(each) for each in ranking[:5]]
            assert [float(each.log_prob[row]) for each in several] == pytest.approx([scores[e] for e in ranking[:5]])


def test_a_width_of_one_is_greedy():
    for seed in range(4):
        decoder, (memory, valid) = tiny_decoder(seed), tiny_memory(seed)
        expected = greedy(decoder, memory, valid, **IDS, max_length=9)
        for penalty in (0.0, 1.0):
            found = beam(decoder, memory, valid, **IDS, max_length=9, width=1, length_penalty=penalty)
            assert torch.equal(found.tokens, expected.tokens)
            assert torch.equal(found.ended, expected.ended)
            torch.testing.assert_close(found.log_probs, expected.log_probs, equal_nan=True)
            torch.testing.assert_close(found.log_prob, expected.log_prob)


@torch.no_grad()
def beams_written_out(decoder, memory, valid, width, groups, diversity, max_length, penalty):
    """Diverse beam search of one memory with Python's lists; the best sequence and its log-probability."""
    per = width // groups
    kept = [[((), 0.0)] for _ in range(groups)]
    for _ in range(max_length):
        chosen = []
        for group in range(groups):
            candidates = []
            for tokens, total in kept[group]:
                if tokens and tokens[-1] == END:
                    candidates.append((total / len(tokens) ** penalty, tokens, total, None))
                    continue
                step = decoder(memory, torch.tensor([[START, *tokens]]), valid)[0, -1].log_softmax(-1).tolist()
                for token, log_prob in enumerate(step):
                    score = (total + log_prob - diversity * chosen.count(token)) / (len(tokens) + 1) ** penalty
                    candidates.append((score, (*tokens, token), total + log_prob, token))
            best = sorted(candidates, key=lambda candidate: -candidate[0])[:per]
            kept[group] = [(tokens, total) for _, tokens, total, _ in best]
            chosen += [token for *_, token in best if token is not None]
    return max((pair for group in kept for pair in group), key=lambda pair: pair[1] / len(pair[0]) ** penalty)


@pytest.mark.parametrize(
    ("width", "groups", "diversity", "penalty"),
    [(4, 1, 0.0, 0.0), (3, 1, 0.0, 1.0), (6, 3, 0.8, 0.0), (4, 4, 0.5, 0.7), (4, 4, 0.5, 1.5), (6, 3, 1.5, 1.0)],
)
def test_narrow_beams_are_those_written_out(width, groups, diversity, penalty):
    options = {"width": width, "groups": groups, "diversity": diversity, "max_length": 5, "length_penalty": penalty}
    for seed in range(3):
        decoder, (memory, valid) = tiny_decoder(seed, 5, 1.5), tiny_memory(seed)
        found = hypotheses(decoder, memory, valid, **IDS, **options)[0]
        for row in range(3):
            one = slice(row, row + 1)
            tokens, total = beams_written_out(decoder, memory[one], valid[one], width, groups, diversity, 5, penalty)
            assert found.rows()[row] == body(tokens)
            assert float(found.log_prob[row]) == pytest.approx(total)
            alone = hypotheses(decoder, memory[one], valid[one], **IDS, **options)[0]
            assert alone.rows() == [body(tokens)]


def test_groups_differ_where_they_are_made_to():
    decoder, (memory, valid) = tiny_decoder(1), tiny_memory(1)
    options = {**IDS, "max_length": 6, "width": 3, "groups": 3, "count": 3}
    same = hypotheses(decoder, memory, valid, **options, diversity=0.0)
    apart = hypotheses(decoder, memory, valid, **options, diversity=100.0)
    for row in range(3):
        assert [float(each.confidence[row]) > 0 for each in same] == [True, False, False]
        assert len({tuple(each.rows()[row]) for each in apart}) == 3
    assert diverse(decoder, memory, valid, **IDS, max_length=6, width=3, groups=3).rows() is not None


@pytest.mark.parametrize("count", [2, 5, 6])
def test_what_several_groups_find_is_given_once(count):
    """Without diversity every group is the beam of its width."""
    for seed in range(3):
        decoder, (memory, valid) = tiny_decoder(seed), tiny_memory(seed)
        options = {**IDS, "max_length": 6, "length_penalty": 0.5}
        found = hypotheses(decoder, memory, valid, **options, width=6, groups=3, count=count)
        alone = hypotheses(decoder, memory, valid, **options, width=2, count=2)
        assert len(found) == count
        for several, one in zip(found, alone, strict=False):
            assert several.rows() == one.rows()
            torch.testing.assert_close(several.log_prob, one.log_prob)
        for none in found[2:]:
            assert none.rows() == [[]] * 3
            assert none.confidence.tolist() == [0] * 3


def test_the_best_of_all_groups_are_the_best_that_differ():
    for seed in range(4):
        decoder, (memory, valid) = tiny_decoder(seed), tiny_memory(seed)
        options = {**IDS, "max_length": 6, "width": 12, "groups": 4, "diversity": 0.3}
        everything, best = (hypotheses(decoder, memory, valid, **options, count=count) for count in (12, 4))
        for row in range(3):
            given = [tuple(each.rows()[row]) for each in everything if each.log_prob[row] > -torch.inf]
            assert len(set(given)) == len(given) >= 4
            assert [tuple(each.rows()[row]) for each in best] == given[:4]


def test_under_a_constraint():
    automaton = Automaton([[-1, 1, 1], [0, -1, 0]])  # the end only after an odd number of tokens; no 1 after 1 or 2
    allowed = {0: {1, 2}, 1: {0, 2}}

    def follows(sequence):
        state = 0
        for token in sequence:
            if token not in allowed[state]:
                return False
            state = 1 - state
        return True

    for seed in range(3):
        decoder, (memory, valid) = tiny_decoder(seed, 3, 2.0), tiny_memory(seed)
        found = beam(decoder, memory, valid, **IDS, width=EVERYTHING, max_length=4, constraint=automaton)
        for row in range(3):
            best, total = None, -math.inf
            for sequence in every_sequence(decoder, memory[row : row + 1], valid[row : row + 1], 4)[0]:
                if not follows(sequence):
                    continue
                inputs = torch.tensor([[START, *sequence[:-1]]])
                with torch.no_grad():
                    logits = decoder(memory[row : row + 1], inputs, valid[row : row + 1])[0]
                score, state = 0.0, 0
                for step, token in zip(logits, sequence, strict=True):
                    choices = sorted(allowed[state])
                    score += float(step[choices].log_softmax(-1)[choices.index(token)])
                    state = 1 - state
                if score > total:
                    best, total = sequence, score
            assert found.rows()[row] == body(best)
            assert float(found.log_prob[row]) == pytest.approx(total)


def test_fewer_sequences_than_asked_for():
    decoder, (memory, valid) = tiny_decoder(), tiny_memory()
    only = Automaton([[-1, 1, -1, -1, -1], [0, -1, -1, -1, -1]])
    found = hypotheses(decoder, memory, valid, **IDS, width=4, count=3, max_length=5, constraint=only)
    assert [each.rows() for each in found] == [[[1]] * 3, [[]] * 3, [[]] * 3]
    assert [each.confidence.tolist() for each in found] == [[1] * 3, [0] * 3, [0] * 3]
    assert hypotheses(decoder, memory[:0], valid[:0], **IDS)[0].tokens.shape == (0, 0)


@pytest.mark.parametrize("width", range(2, 8))
def test_what_has_ended_fills_no_free_places(width):
    decoder, (memory, valid) = tiny_decoder(), tiny_memory()
    two = Automaton([[0, 1, -1, -1, -1], [-1, -1, 2, -1, -1], [-1, -1, -1, 3, -1], [3, -1, -1, -1, -1]])
    options = {"width": width, "count": width, "max_length": 6, "constraint": two}
    found = hypotheses(decoder, memory, valid, **IDS, **options)
    for row in range(3):
        possible = [each.rows()[row] for each in found if each.log_prob[row] > -torch.inf]
        assert sorted(possible) == [[], [1, 2, 3]]
        assert sum(float(each.confidence[row]) for each in found) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "code"), [({"width": 0}, "C173"), ({"groups": 2}, "C175"), ({"length_penalty": -1.0}, "C176")]
)
def test_settings_without_meaning(options, code):
    with pytest.raises(ConfigError, match=code):
        beam(tiny_decoder(), *tiny_memory(), **IDS, **options)
