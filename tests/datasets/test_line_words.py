from pathlib import Path

import numpy as np
import pytest

from visionkit.datasets.line_words import Pronounceable, Sentences, WordList
from visionkit.errors import ConfigError

SPLITS = ("train", "val", "test")


def many(words: object, split: str, count: int = 300) -> list[str]:
    rng = np.random.default_rng(0)
    return [words.word(rng, split) for _ in range(count)]  # type: ignore[attr-defined]


def test_no_word_is_in_two_splits_whatever_its_capitals() -> None:
    words = Pronounceable(capitals=0.5)
    found = [{word.lower() for word in many(words, split, 800)} for split in SPLITS]
    assert min(map(len, found)) > 200
    assert sum(map(len, found)) == len(set.union(*found))


@pytest.mark.parametrize("split", SPLITS)
def test_characters_are_those_that_are_said(split: str) -> None:
    for words in (Pronounceable(capitals=0.3, numbers=0.3), Sentences(Pronounceable(capitals=0.3), marked=0.5)):
        assert set("".join(many(words, split))) <= words.characters
    assert not any(one.isdigit() for one in Pronounceable(numbers=0).characters)


def test_shares_of_capitals_and_numbers() -> None:
    words = many(Pronounceable(capitals=0.5, numbers=0.25), "train", 2000)
    letters = [word for word in words if not word.isdigit()]
    assert abs(1 - len(letters) / len(words) - 0.25) < 0.05
    assert abs(sum(word[0].isupper() for word in letters) / len(letters) - 0.5) < 0.05


def test_words_of_any_script() -> None:
    words = Pronounceable(onsets="\u05d1 \u05d2 \u05d3", vowels="\u05d0 \u05d5", codas="", numbers=0)
    assert set("".join(many(words, "train", 50))) <= set("\u05d1\u05d2\u05d3\u05d0\u05d5")
    umlauts = Pronounceable(vowels="\u00e4 \u00df", capitals=1, numbers=0)
    assert "\u00c4" in umlauts.characters
    assert set("".join(many(umlauts, "train"))) <= umlauts.characters


def test_too_few_syllables_are_an_error_not_an_endless_search() -> None:
    words = Pronounceable(onsets="b", vowels="a", codas="", syllables=(1, 1), numbers=0)
    with pytest.raises(ConfigError, match=r"C189.*too few words"):
        [words.word(np.random.default_rng(0), split) for split in SPLITS]


def test_sentences_have_words_marks_and_now_and_then_nothing() -> None:
    lines = many(Sentences(Pronounceable(), count=(2, 4), blank=0.2, marked=0.5), "val")
    assert {len(line.split()) for line in lines} == {0, 2, 3, 4}
    assert 0.1 < sum(not line for line in lines) / len(lines) < 0.3
    assert any("," in line for line in lines)


def test_lists_are_shared_out_by_word(tmp_path: Path) -> None:
    listed = [f"word{number}" for number in range(200)] + ["two words"]
    (tmp_path / "words.txt").write_text("\n".join(listed))
    words = WordList(tmp_path / "words.txt")
    found = [set(many(words, split, 3000)) for split in SPLITS]
    assert set.union(*found) == set(listed)
    assert sum(map(len, found)) == len(listed)
    (tmp_path / "words.txt").write_text("a\nb")
    with pytest.raises(ConfigError, match="C189"):
        WordList(tmp_path / "words.txt")
    with pytest.raises(ConfigError, match="C189"):
        Pronounceable(onsets="", vowels="")
