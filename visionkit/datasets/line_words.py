"""What generated lines say: words that can be pronounced, words of a list, or lines of a file.

Which split a word belongs to is a hash of it, so that no word of validation or test is ever seen in training.
"""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from visionkit.datasets.listing import Share
from visionkit.datasets.text_files import read_text
from visionkit.errors import ConfigError

_SHARES = Share((0.8, 0.1, 0.1))
_TRIES = 1000
"""A tenth of the words are of the rarest split, so that this many misses in a row mean that there are none."""


class Words(Protocol):
    """Makes words, endlessly."""

    @property
    def characters(self) -> frozenset[str]:
        """Every character that a word can hold."""

    def word(self, rng: np.random.Generator, split: str) -> str:
        """A word of this split: train, val or test."""


class Pronounceable:
    """Words of syllables: an onset, a vowel and perhaps a coda each.

    The parts may be of any script; characters that mark vowels above or below letters belong to the vowels.

    Args:
        onsets, vowels, codas: parts of syllables, separated by spaces; an empty list of codas leaves them out.
        syllables: fewest and most in a word.
        capitals: share of words that begin with a capital; a fifth as many are capitals throughout.
        numbers: share of words that are numbers of up to four digits.
    """

    def __init__(
        self,
        onsets: str = "b c d f g h j k l m n p qu r s t v w x z bl br ch cl cr dr fl fr gl gr pl pr sh sl sp st th tr",
        vowels: str = "a e i o u a e i o u y ai ea ee ie oo ou",
        codas: str = "b ck d f g l ll m n n n ng nt p r r rd s s ss st t t x",
        syllables: Sequence[int] = (1, 3),
        capitals: float = 0.15,
        numbers: float = 0.05,
    ) -> None:
        self.onsets, self.vowels, self.codas = onsets.split(), vowels.split(), codas.split()
        if not self.onsets and not self.vowels:
            place = "dataset.layout.words"
            raise ConfigError("C189", place, "there is nothing to make words of", "give onsets or vowels")
        self.fewest, self.most = syllables
        self.capitals, self.numbers = capitals, numbers

    @property
    def characters(self) -> frozenset[str]:
        """Every character that a word can hold."""
        letters = set("".join((*self.onsets, *self.vowels, *self.codas)))
        capitals = {upper for letter in letters if len(upper := letter.upper()) == 1} if self.capitals > 0 else set()
        return frozenset(letters | capitals | set(string.digits if self.numbers > 0 else ""))

    def word(self, rng: np.random.Generator, split: str) -> str:
        """A word of this split; the same word with other capitals is the same word.

        Raises ConfigError C189 where the parts make so few words that the split has hardly any.
        """
        for _ in range(_TRIES):
            word = self._number(rng) if rng.random() < self.numbers else self._syllables(rng)
            if word and _SHARES.split(f"word {word}") == split:
                break
        else:
            what = f"the syllables make too few words for the split {split} to have some"
            raise ConfigError("C189", "dataset.layout.words", what, "give more onsets, vowels or codas")
        chance = rng.random()
        if chance < self.capitals / 5:
            capital = word.upper()
        else:
            capital = word[0].upper() + word[1:] if chance < self.capitals else word
        return capital if len(capital) == len(word) else word

    def _syllables(self, rng: np.random.Generator) -> str:
        count = int(rng.integers(self.fewest, self.most + 1))
        parts: list[str] = []
        for place in rng.random((count, 4)).tolist():
            parts += [_at(self.onsets, place[0]) if place[3] < 0.9 else "", _at(self.vowels, place[1])]
            parts.append(_at(self.codas, place[2]) if place[3] < 0.45 else "")
        return "".join(parts)

    def _number(self, rng: np.random.Generator) -> str:
        return str(rng.integers(10 ** int(rng.integers(1, 5))))


class WordList:
    """Words, or whole lines, of a UTF-8 file that holds one a line.

    Args:
        file: the list.

    Raises ConfigError C189 where the list has too few words for each split to have one; what ``read_text`` raises.
    """

    def __init__(self, file: str | Path) -> None:
        words = sorted({" ".join(line.split()) for line in read_text(Path(file).expanduser()).split("\n")} - {""})
        self._words: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        for word in words:
            self._words[_SHARES.split(f"word {word.lower()}")].append(word)
        if not all(self._words.values()):
            what = f"{len(words)} words are too few for training, validation and test words of their own"
            raise ConfigError("C189", str(file), what, "give a longer list")

    @property
    def characters(self) -> frozenset[str]:
        """Every character of the list."""
        return frozenset("".join(word for words in self._words.values() for word in words))

    def word(self, rng: np.random.Generator, split: str) -> str:
        """A word of this split."""
        return _at(self._words[split], rng.random())


class Sentences:
    """Several words with punctuation between them.

    Args:
        words: makes the words.
        count: fewest and most words.
        punctuation: marks that follow a word.
        marked: share of words that a mark follows.
        blank: share of lines without a word.
    """

    def __init__(
        self,
        words: Words,
        count: Sequence[int] = (2, 9),
        punctuation: str = ". , , , ; : ! ?",
        marked: float = 0.12,
        blank: float = 0.01,
    ) -> None:
        self.words, (self.fewest, self.most) = words, count
        self.punctuation, self.marked, self.blank = punctuation.split(), marked, blank

    @property
    def characters(self) -> frozenset[str]:
        """Every character that a line can hold."""
        return self.words.characters | set("".join(self.punctuation)) | {" "}

    def word(self, rng: np.random.Generator, split: str) -> str:
        """A line of this split's words."""
        if rng.random() < self.blank:
            return ""
        words = [self.words.word(rng, split) for _ in range(int(rng.integers(self.fewest, self.most + 1)))]
        for place, (chance, which) in enumerate(rng.random((len(words), 2)).tolist()):
            if chance < self.marked and self.punctuation:
                words[place] += _at(self.punctuation, which)
        return " ".join(words)


def _at(items: Sequence[str], place: float) -> str:
    """The item at a place in 0..1, empty where there are none: faster than a generator's choice."""
    return items[int(place * len(items))] if items else ""
