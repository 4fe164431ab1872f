"""A decoder and an n-gram model together, against both written out."""

import torch
from tiny_decoders import END, START, RowModels

from visionkit.generation.beam import hypotheses
from visionkit.generation.greedy import greedy
from visionkit.generation.language import Fused
from visionkit.generation.ngram_lm import NGramModel
from visionkit.generation.speculative import speculative

MODELS = RowModels()
LANGUAGE = NGramModel.fit([[1, 2, 3, 1, 2], [3, 3, 1], [1, 2], []], MODELS.vocabulary, order=3)
IDS = {"start": START, "end": END}


def said_by_the_language(tokens):
    """Log-probability of each next token, the end at 0."""
    before = LANGUAGE.log_prob(tokens, ends=False)
    return [LANGUAGE.log_prob([*tokens, token] if token else tokens, ends=not token) - before for token in range(4)]


def test_the_language_is_added_token_by_token():
    memory = MODELS.memory(0, 3)
    fused = Fused(MODELS, LANGUAGE, weight=0.7)
    texts = torch.tensor([[START, 1, 2, 3, 1], [START, 3, 3, 3, 3], [START, 2, 1, 1, 2]])
    together, _ = fused.step(texts, fused.start(memory))
    own, _ = MODELS.step(texts, MODELS.start(memory))
    for row, tokens in enumerate(texts.tolist()):
        for place in range(5):
            want = own[row, place] + 0.7 * torch.tensor(said_by_the_language(tokens[1 : place + 1]))
            torch.testing.assert_close(together[row, place], want, check_dtype=False)


def test_one_by_one_is_all_at_once_and_a_way_back_is_forgotten():
    memory, fused = MODELS.memory(1, 2), Fused(MODELS, LANGUAGE)
    texts = torch.tensor([[START, 1, 2, 3], [START, 3, 1, 1]])
    whole, _ = fused.step(texts, fused.start(memory))
    _, state = fused.step(torch.tensor([[START, 1, 1, 1], [START, 3, 2, 2]]), fused.start(memory))
    state = state.rewind(torch.tensor([2, 2])).select(torch.tensor([1, 0]))
    for place in (2, 3):
        step, state = fused.step(texts[[1, 0], place, None], state)
        torch.testing.assert_close(step[:, 0], whole[[1, 0], place])


def test_drafts_change_nothing():
    for seed in range(20):
        memory, fused = MODELS.memory(seed, 3), Fused(MODELS, LANGUAGE, weight=0.5)
        expected = greedy(fused, memory, **IDS, max_length=30)
        found = speculative(fused, memory, **IDS, max_length=30)
        assert found.rows() == expected.rows()
        torch.testing.assert_close(found.log_prob, expected.log_prob)


def test_no_rows_and_no_weight():
    assert greedy(Fused(MODELS, LANGUAGE), MODELS.memory(0, 0), **IDS).rows() == []
    memory, options = MODELS.memory(2, 3), {**IDS, "max_length": 8}
    alone = hypotheses(MODELS, memory, **options)[0]
    assert hypotheses(Fused(MODELS, LANGUAGE, weight=0.0), memory, **options)[0].rows() == alone.rows()
