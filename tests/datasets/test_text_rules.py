"""Normal forms, charsets, and what CTC can align."""

import itertools
from pathlib import Path

import pytest

from visionkit.datasets.text_rules import TextRules
from visionkit.errors import ConfigError
from visionkit.text.batches import frames_needed
from visionkit.text.character_ngrams import CharacterNGrams
from visionkit.text.subwords import Subwords

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize("written", [COMPOSED, DECOMPOSED])
def test_labels_are_in_one_normal_form_however_they_are_written(written: str) -> None:
    assert TextRules().clean(written) == COMPOSED
    assert TextRules("NFD").clean(written) == DECOMPOSED
    assert TextRules().labels([written]) == TextRules().labels([TextRules().clean(COMPOSED)])
    assert len(TextRules("NFD").labels([written])) == 5


def test_white_space_is_one_space_and_marks_can_be_mapped() -> None:
    assert TextRules().clean(" a\t b\r\nc\u00a0d ") == "a b c d"
    assert TextRules().clean("\n") == ""
    assert TextRules(replace=[(">", ""), ("<", ""), ("_", " ")]).clean(">no<_yes") == "no yes"


def test_emoji_are_characters_like_any_other() -> None:
    labels = TextRules().labels(["ok \U0001f642\U0001f44d\U0001f3fd"])
    assert labels.characters == (" ", "k", "o", "\U0001f3fd", "\U0001f44d", "\U0001f642")


def test_characters_from_an_option_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "charset.txt").write_bytes("\ufeffb\r\n \na\n".encode())
    wanted = (" ", "a", "b")
    assert TextRules(characters="ba ").labels(["ignored"]).characters == wanted
    assert TextRules(charset=tmp_path / "charset.txt").labels([]).characters == wanted
    for wrong in (TextRules(charset=tmp_path / "no"), TextRules(characters=""), TextRules()):
        with pytest.raises(ConfigError, match="C186"):
            wrong.labels([])
    with pytest.raises(ConfigError, match="C186"):
        TextRules(characters="a", charset="b")
    with pytest.raises(ConfigError, match=r"C185.*NFC"):
        TextRules("NFX")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"C185.*pairs"):
        TextRules(replace=[["a"]])


def test_the_direction_is_that_of_most_characters() -> None:
    assert not TextRules().labels(["abc 123"]).right_to_left
    assert TextRules().labels(["\u05e9\u05dc\u05d5\u05dd 12 a"]).right_to_left
    assert TextRules(right_to_left=True).labels(["abc"]).right_to_left


def test_the_direction_is_that_of_most_of_what_is_written_not_of_most_letters_there_are() -> None:
    hebrew, pangram = "\u05e9\u05dc\u05d5\u05dd", "the quick brown fox jumps over the lazy dog"
    assert TextRules().labels([hebrew] * 100 + [pangram]).right_to_left
    assert not TextRules().labels([hebrew, pangram]).right_to_left
    both = hebrew + "".join(sorted(set(pangram)))
    assert TextRules(characters=both).labels([hebrew]).right_to_left
    assert not TextRules(characters=both).labels([]).right_to_left


@pytest.mark.parametrize("listed", ["xyz\u0301", "x\ny\nz\n\u0301\n"])
def test_a_mark_in_a_list_takes_no_letter_with_it(listed: str, tmp_path: Path) -> None:
    (tmp_path / "charset.txt").write_text(listed)
    for rules in (TextRules(characters=listed.replace("\n", "")), TextRules(charset=tmp_path / "charset.txt")):
        assert {"x", "y", "z", "\u0301"} <= set(rules.labels([]).characters)
    assert "\u017a" in TextRules(characters="z\u0301").labels([]).characters  # and together they are one more


def test_frames_needed_are_the_shortest_path_that_collapses_to_the_text() -> None:
    def collapsed(path: tuple[str, ...]) -> str:
        return "".join(one for one, _ in itertools.groupby(path) if one != "-")

    for text in ("", "a", "aa", "ab", "aab", "aba", "abb"):
        lengths = (n for n in range(8) if any(collapsed(p) == text for p in itertools.product("ab-", repeat=n)))
        assert frames_needed(text) == next(lengths)


def test_subwords_are_learnt_from_the_training_text_or_from_sentences():
    rules = TextRules(subwords=Subwords(size=300))
    assert rules.labels(["aab aab", "aab"]).merges == Subwords(size=300).merges(["aab aab", "aab"])
    assert rules.labels(["a", "b"], ["aab aab", "aab"]).merges == rules.labels(["aab aab", "aab"]).merges
    assert TextRules().labels(["aab aab"]).merges == ()


def test_ngrams_are_those_of_the_training_text_of_sentences_or_of_a_file(tmp_path):
    rules = TextRules(ngrams=CharacterNGrams(order=2))
    expected = CharacterNGrams(order=2).counts(["ab", "b a"])
    assert rules.labels(["ab", "b a"]).ngrams == expected
    assert rules.labels(["ab "], ["ab", "b a"]).ngrams == expected
    assert TextRules().labels(["ab"]).ngrams == ()
    (tmp_path / "corpus.txt").write_text(" ab\n\nb  a\n", encoding="utf-8")
    named = TextRules(ngrams=CharacterNGrams(2, tmp_path / "corpus.txt"))
    assert named.labels(["c"]).ngrams == expected
    assert named.labels(["c"]).characters == ("c",)
    (tmp_path / "empty.txt").touch()
    assert TextRules(ngrams=CharacterNGrams(2, tmp_path / "empty.txt")).labels(["c"]).ngrams == ()


def test_a_file_of_ngrams_that_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"C183.*corpus.txt"):
        TextRules(ngrams=CharacterNGrams(file=tmp_path / "corpus.txt")).labels(["a"])
