"""CTC prefix scores against all paths, and joint decoding against both models written out."""

import math
from functools import partial

import pytest
import torch
from tiny_ctc import every_text
from tiny_decoders import END, START, RowModels, every_sequence, tiny_decoder, tiny_memory

from visionkit.errors import ConfigError
from visionkit.generation.beam import beam, diverse, hypotheses
from visionkit.generation.constraints import Automaton
from visionkit.generation.ctc_prefix_scores import CTCPrefixes
from visionkit.generation.greedy import greedy
from visionkit.generation.joint_ctc import SEARCH, Joint, joint, joint_language
from visionkit.generation.ngram_lm import NGramModel
from visionkit.generation.speculative import speculative

IDS = {"start": START, "end": END}


def columns(seed, rows=3, length=5, classes=3):
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(rows, length, classes, generator=generator, dtype=torch.float64)


def next_of(texts, prefix, classes):
    """Log-probability of each next token, the end at 0, by adding up the texts that begin so."""
    begun = [begins(texts, (*prefix, token)) for token in range(classes)]
    begun[0] = math.exp(texts.get(prefix, -math.inf))
    return [math.log(p / sum(begun)) if p else -math.inf for p in begun]


def begins(texts, prefix):
    """Probability of all texts that begin so."""
    return sum(math.exp(log_prob) for text, log_prob in texts.items() if text[: len(prefix)] == prefix)


def test_the_next_token_is_the_sum_over_all_texts_that_begin_so():
    logits = columns(0)
    lengths = torch.tensor([5, 3, 4])
    texts = [every_text(row[:length]) for row, length in zip(logits, lengths.tolist(), strict=True)]
    for prefix in [(), (1,), (1, 1), (1, 2), (2, 1, 2), (2, 2), (1, 2, 2)]:
        said = CTCPrefixes.begin(logits, lengths).again([prefix] * 3).next_log_probs()
        for row in range(3):
            if begins(texts[row], prefix):
                assert said[row].tolist() == pytest.approx(next_of(texts[row], prefix, 3))


def test_an_impossible_prefix_ends():
    said = CTCPrefixes.begin(columns(0)).again([(1, 1, 1, 1)] * 3).next_log_probs()
    assert said[:, 0].tolist() == [0, 0, 0]
    assert (said[:, 1:] == -torch.inf).all()


def test_no_columns_are_an_empty_text():
    said = CTCPrefixes.begin(columns(0, length=0)).next_log_probs()
    assert said[:, 0].tolist() == [0, 0, 0]
    assert CTCPrefixes.begin(columns(0, rows=0)).next_log_probs().shape == (0, 3)


def test_rows_of_different_lengths_are_those_of_their_own():
    rows = [[1, 2], [2], []]
    together = CTCPrefixes.begin(columns(1)).again(rows)
    for row, tokens in enumerate(rows):
        alone = CTCPrefixes.begin(columns(1)[row : row + 1]).again([tokens])
        torch.testing.assert_close(together.next_log_probs()[row : row + 1], alone.next_log_probs())


def test_ctc_alone_in_a_wide_beam_is_its_most_probable_text():
    for seed in range(3):
        decoder, (memory, valid) = tiny_decoder(seed, 3), tiny_memory(seed)
        logits = columns(seed, len(memory))
        found = joint(decoder, memory, valid, columns=logits, weight=1.0, search=partial(beam, width=200), **IDS)
        for row in range(len(memory)):
            texts = every_text(logits[row])
            best = max(texts, key=texts.__getitem__)
            assert found.rows()[row] == list(best)
            assert float(found.log_prob[row]) == pytest.approx(texts[best])


@pytest.mark.parametrize("weight", [0.2, 0.7])
def test_a_wide_beam_finds_what_both_say_is_best(weight):
    for seed in range(3):
        decoder, (memory, valid) = tiny_decoder(seed, 3), tiny_memory(seed)
        logits, wide = columns(seed, len(memory), 4), partial(beam, width=200, normalised=False, max_length=6)
        own = every_sequence(decoder, memory, valid, 6)
        found = joint(decoder, memory, valid, columns=logits, weight=weight, search=wide, **IDS)
        model = NGramModel.fit([[1, 2], [2, 2, 1]], 3, order=2)
        language = joint_language(
            decoder, memory, valid, columns=logits, weight=weight, language_model=model, search=wide, **IDS
        )
        for row in range(len(memory)):
            scores = {
                text: (1 - weight) * own[row][(*text, END)] + weight * log_prob
                for text, log_prob in every_text(logits[row]).items()
            }
            best = max(scores, key=scores.__getitem__)
            assert found.rows()[row] == list(best)
            assert float(found.log_prob[row]) >= scores[best]  # as a probability among what could stand there
            fused = {text: score + 0.15 * model.log_prob(text) for text, score in scores.items()}
            best = max(fused, key=fused.__getitem__)
            assert language.rows()[row] == list(best)


@torch.no_grad()
def test_greedy_takes_the_best_of_the_weighted_sum():
    for seed in range(4):
        decoder, (memory, valid) = tiny_decoder(seed, 3), tiny_memory(seed)
        logits = columns(seed, len(memory))
        found = joint(decoder, memory, valid, columns=logits, weight=0.4, search=greedy, **IDS)
        for row in range(len(memory)):
            texts, tokens = every_text(logits[row]), []
            while True:
                own = decoder(memory[row, None], torch.tensor([[START, *tokens]]), valid[row, None])[0, -1]
                said = next_of(texts, tuple(tokens), 3)
                sums = [0.6 * a + 0.4 * b for a, b in zip(own.log_softmax(-1).tolist(), said, strict=True)]
                best = max(range(3), key=sums.__getitem__)
                if best == END:
                    break
                tokens.append(best)
            assert found.rows()[row] == tokens


@pytest.mark.parametrize("search", [beam, diverse, SEARCH])
def test_rows_together_are_rows_alone(search):
    models, logits = RowModels(), columns(2, 4, 9, RowModels.vocabulary)
    memory, frames = models.memory(2, 4), torch.tensor([9, 0, 5, 7])
    together = joint(models, memory, columns=logits, frames=frames, search=search, **IDS)
    for row in range(4):
        one = slice(row, row + 1)
        alone = joint(models, memory[one], columns=logits[one], frames=frames[one], search=search, **IDS)
        assert together.rows()[row] == alone.rows()[0]
        torch.testing.assert_close(together.log_prob[one], alone.log_prob)


def test_the_usual_search_is_a_wide_beam_over_scores():
    models, logits = RowModels(), columns(3, 3, 9, RowModels.vocabulary)
    usual = joint(models, models.memory(3, 3), columns=logits, **IDS)
    spelt = joint(models, models.memory(3, 3), columns=logits, search=beam, width=10, normalised=False, **IDS)
    assert usual.rows() == spelt.rows()
    other = joint(models, models.memory(3, 3), columns=logits, search=beam, width=1, **IDS)
    assert usual.rows() != other.rows()


def test_all_probabilities_add_up_to_one_at_most():
    models, logits = RowModels(), columns(4, 1, 5, RowModels.vocabulary)
    both = Joint(models, logits)
    for normalised in (True, False):
        found = hypotheses(both, models.memory(4, 1), **IDS, width=60, count=60, normalised=normalised)
        assert 0.5 < sum(float(each.confidence) for each in found) <= 1.0001


def test_several_tokens_at_once_are_one_by_one():
    models = RowModels()
    both = Joint(models, columns(5, 2, 9, RowModels.vocabulary))
    tokens = torch.tensor([[START, 1, 2, 2], [START, 3, 1, 2]])
    whole, _ = both.step(tokens, both.start(models.memory(5, 2)))
    state = both.start(models.memory(5, 2))
    for place in range(4):
        step, state = both.step(tokens[:, place, None], state)
        torch.testing.assert_close(step[:, 0], whole[:, place])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precision_of_the_columns_is_added_up_in_double(dtype):
    logits = columns(6, 2, 40).to(dtype)
    said, want = (CTCPrefixes.begin(each).again([[1, 2], [2]]).next_log_probs() for each in (logits, logits.double()))
    assert torch.equal(said, want)


def test_selected_prefixes_share_their_frames():
    logits, lengths, rows = columns(8), torch.tensor([5, 3, 4]), torch.tensor([2, 0, 0, 2, 1, 2, 2, 0])
    begun = CTCPrefixes.begin(logits, lengths).again([[1], [2, 1], []])
    chosen = begun.select(rows).select(torch.tensor([0, 7, 1, 4, 3]))
    assert chosen.frames is begun.frames
    owners = torch.tensor([2, 0, 0, 1, 2])
    written = [[[1], [2, 1], []][owner] for owner in owners]
    copied = CTCPrefixes.begin(logits[owners], lengths[owners]).again(written)
    more = torch.tensor([1, 2, 1, -1, 2])
    for own, other in ((chosen, copied), (chosen.extend(more), copied.extend(more)), (chosen.again(written), copied)):
        assert torch.equal(own.next_log_probs(), other.next_log_probs())
        assert torch.equal(own.blank, other.blank)


def test_what_is_not_allowed_and_what_is_impossible_leave_the_end():
    models, logits = RowModels(), columns(7, 2, 3, RowModels.vocabulary)
    exactly_five = Automaton([[-1, n + 1, n + 1, n + 1] for n in range(5)] + [[0, -1, -1, -1]])
    for search in (greedy, beam, diverse, speculative, SEARCH):
        found = joint(models, models.memory(7, 2), columns=logits, constraint=exactly_five, search=search, **IDS)
        assert found.ended.all()
        assert max(map(len, found.rows())) <= 3
        assert found.log_prob.isfinite().all()


def test_drafts_change_nothing():
    models = RowModels()
    for seed in range(20):
        memory, logits = models.memory(seed, 3), columns(seed, 3, 30, models.vocabulary)
        options = {"columns": logits, "weight": 0.5, **IDS, "max_length": 40}
        expected = joint(models, memory, search=greedy, **options)
        found = joint(models, memory, search=speculative, **options)
        assert found.rows() == expected.rows()
        torch.testing.assert_close(found.log_prob, expected.log_prob)
    assert max(map(len, expected.rows())) > 5


@pytest.mark.parametrize("weight", [0.0, -0.1, 1.1, math.nan])
def test_a_weight_that_is_none_is_named(weight):
    with pytest.raises(ConfigError) as caught:
        Joint(RowModels(), columns(0), weight=weight)
    assert caught.value.code == "C231"


def test_a_negative_weight_of_the_language_is_named():
    model = NGramModel.fit([[1]], RowModels.vocabulary, order=1)
    with pytest.raises(ConfigError, match=r"C231.*model_weight"):
        joint_language(RowModels(), columns(0), columns=columns(0), language_model=model, model_weight=-0.1, **IDS)
