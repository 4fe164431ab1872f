"""The n-gram model against its formula written out."""

import itertools
import json
import math
from collections import Counter

import pytest

from visionkit.errors import ConfigError
from visionkit.generation.ngram_lm import END, NGramModel, character_model, follow
from visionkit.text.character_ngrams import CharacterNGrams

TEXTS = [[1, 2, 1, 3], [2, 2], [1], [], [1, 2, 2, 1], [3, 1, 2]]


def written_out(texts, order, vocabulary):
    """P(token | context) by Witten and Bell, recursively."""
    grams = Counter()
    for text in texts:
        padded = [-1] * (order - 1) + text + [END]
        for end in range(order, len(padded) + 1):
            for start in range(end - order, end):
                grams[tuple(padded[start:end])] += 1

    def probability(token, context):
        followers = {gram[-1]: count for gram, count in grams.items() if gram[:-1] == context}
        lower = probability(token, context[1:]) if context else 1 / vocabulary
        if not followers:
            return lower
        total, kinds = sum(followers.values()), len(followers)
        return (followers.get(token, 0) + kinds * lower) / (total + kinds)

    return probability


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_same_as_the_formula(order):
    model, probability = NGramModel.fit(TEXTS, 6, order), written_out(TEXTS, order, 6)
    for text in [*itertools.product(range(1, 6), repeat=3), (), (4,), (1, 2, 2, 1, 3, 5)]:
        padded = (-1,) * (order - 1) + tuple(text) + (END,)
        steps = [
            math.log(probability(padded[end - 1], padded[end - order : end - 1]))
            for end in range(order, len(padded) + 1)
        ]
        assert model.log_prob(text) == pytest.approx(sum(steps))
        assert model.log_prob(text, ends=False) == pytest.approx(sum(steps[:-1]))


def test_probabilities_add_up():
    model = NGramModel.fit(TEXTS, 6, 3)
    for state in range(len(model.tables.backoff)):
        total = sum(math.exp(follow(model.tables, state, token)[0]) for token in range(6))
        assert total == pytest.approx(1)


def test_plain_json_and_back():
    model = NGramModel.fit(TEXTS, 6, 3)
    again = NGramModel.from_json(json.loads(json.dumps(model.to_json())))
    assert again.to_json() == model.to_json()
    assert again.log_prob([1, 2, 5]) == model.log_prob([1, 2, 5])


def test_nothing_seen_is_uniform():
    assert NGramModel.fit([], 4, 3).log_prob([1, 2]) == pytest.approx(3 * math.log(1 / 4))


def test_an_order_without_meaning():
    with pytest.raises(ConfigError, match="C177"):
        NGramModel.fit(TEXTS, 6, 0)


@pytest.mark.parametrize("order", [1, 3])
def test_the_model_of_characters_is_that_of_their_ids(order):
    texts, ids = ["abac", "bb", "", "abba"], {"a": 1, "b": 2, "c": 3}
    found = character_model(CharacterNGrams(order).counts(texts), ids, 4)
    assert found.counts == NGramModel.fit([[ids[each] for each in text] for text in texts], 4, order).counts
    without = character_model(CharacterNGrams(order).counts([*texts, "d"]), ids, 4)
    assert not any(None in gram for gram in without.counts)
    assert without.log_prob([1, 2]) < 0
