"""N-grams of characters, counted by hand."""

import pytest

from visionkit.errors import ConfigError
from visionkit.text.character_ngrams import BEGIN, END, CharacterNGrams, packed, unpacked


def test_counts_of_a_hand_made_case():
    counts = unpacked(CharacterNGrams(order=2).counts(["aba", "", "a"]))
    assert counts == {BEGIN + "a": 2, "ab": 1, "ba": 1, "a" + END: 2, BEGIN + END: 1}


def test_each_character_and_each_end_is_counted_once():
    texts = ["ab c", "\U0001f600", ""]
    for order in (1, 3, 6):
        counts = unpacked(CharacterNGrams(order).counts(texts))
        assert sum(counts.values()) == sum(len(text) + 1 for text in texts)
        assert {len(gram) for gram in counts} == {order}


def test_what_occurs_equally_often_is_kept_together():
    assert packed({"ba": 1, "ab": 1, "bb": 7}) == ((2, 1, "abba"), (2, 7, "bb"))
    assert unpacked(packed({"ba": 1, "ab": 1, "\U0001f600b": 7})) == {"ab": 1, "ba": 1, "\U0001f600b": 7}


def test_no_texts_have_none():
    assert CharacterNGrams().counts([]) == ()


def test_an_order_without_meaning_is_refused():
    with pytest.raises(ConfigError, match="C183"):
        CharacterNGrams(order=0)
