"""Lines of frequent words, drawn from the package's own list."""

import builtins
from collections import Counter

import pytest
from wordfreq import word_frequency

from visionkit.errors import ConfigError, ResourceError
from visionkit.text.character_ngrams import CharacterNGrams, unpacked
from visionkit.text.frequent_words import FrequentWords


def test_words_come_as_often_as_they_are_written() -> None:
    lines = FrequentWords("en", words=100, lines=4000, length=5, capitals=0.25).drawn()
    drawn = [word for line in lines for word in line.split()]
    assert len(lines) == 4000
    assert len(drawn) == 20_000
    counts = Counter(word.lower() for word in drawn)
    assert len(counts) == 100
    for word, other in (("the", "of"), ("of", "would")):
        expected = word_frequency(word, "en") / word_frequency(other, "en")
        assert counts[word] / counts[other] == pytest.approx(expected, rel=0.2)
    assert sum(word != word.lower() for word in drawn if word[0].isalpha()) / len(drawn) == pytest.approx(
        0.25, abs=0.02
    )


def test_the_same_lines_each_time_and_others_of_another_language() -> None:
    few = {"words": 50, "lines": 10}
    assert (
        FrequentWords("fr", **few).drawn() == FrequentWords("fr", **few).drawn() != FrequentWords("de", **few).drawn()
    )


def test_own_texts_count_several_times_beside_the_words() -> None:
    words = FrequentWords(words=10, lines=3, own_weight=4)
    alone = Counter(unpacked(CharacterNGrams(3).counts(["the cat", "a cat"])))
    of_words = Counter(unpacked(CharacterNGrams(3).counts(words.drawn())))
    both = unpacked(CharacterNGrams(3, words=words).counts(["the cat", "a cat"]))
    assert both == {gram: 4 * alone[gram] + of_words[gram] for gram in alone.keys() | of_words.keys()}


@pytest.mark.parametrize("wrong", [{"words": 0}, {"lines": 0}, {"length": 0}, {"own_weight": 0}, {"capitals": 1.5}])
def test_numbers_without_meaning_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="C229"):
        FrequentWords(**wrong)


def test_an_unknown_language_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"C230.*xx.*\ben\b"):
        FrequentWords("xx").drawn()


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args, **options):
        if name == "wordfreq":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ResourceError, match=r"R14.*visionkit\[language\]"):
        FrequentWords().drawn()
