"""Which characters follow each other in a text: what a reader may know of a language besides what it sees."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from visionkit.errors import ConfigError
from visionkit.text.frequent_words import FrequentWords

BEGIN, END = "\x02", "\x03"
"""What stands before a text, and behind it."""
NGrams = tuple[tuple[int, int, str], ...]
"""Order, times, and the n-grams of that order that occur so often, sorted, one behind the other: there are hundreds of
thousands, and a bundle should not need five times their letters to name them."""


@dataclass(frozen=True)
class CharacterNGrams:
    """Where the n-grams of a dataset's text come from: a file of text, or else the texts of the training split.

    Args:
        order: characters of an n-gram.
        file: UTF-8 text, in each line what a line of writing may say.
        words: of the language that are counted, too; None for the texts alone.

    Raises ConfigError C183 for an order below 1.
    """

    order: int = 6
    file: str | Path | None = None
    words: FrequentWords | None = None

    def __post_init__(self) -> None:
        if self.order < 1:
            what = f"n-grams of {self.order} characters say nothing"
            raise ConfigError("C183", "dataset.layout.text.ngrams.order", what, "give 1 or more, such as 6")

    def counts(self, texts: Iterable[str]) -> NGrams:
        """How often each n-gram occurs; each text begins with ``order - 1`` times BEGIN and ends with END."""
        counted: Counter[str] = Counter()
        for text in texts:
            counted.update(self._ngrams(text))
        if self.words is not None:
            for ngram in counted:
                counted[ngram] *= self.words.own_weight
            for line in self.words.drawn():
                counted.update(self._ngrams(line))
        return packed(counted)

    def _ngrams(self, text: str) -> list[str]:
        whole = BEGIN * (self.order - 1) + text + END
        return [whole[place : place + self.order] for place in range(len(text) + 1)]


def packed(counts: Mapping[str, int]) -> NGrams:
    """Counts of n-grams as labels hold them."""
    groups: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for ngram, count in counts.items():
        groups[len(ngram), count].append(ngram)
    return tuple((*key, "".join(sorted(group))) for key, group in sorted(groups.items()))


def unpacked(ngrams: NGrams) -> dict[str, int]:
    """How often each n-gram occurs."""
    return {
        joined[place : place + order]: count
        for order, count, joined in ngrams
        for place in range(0, len(joined), order)
    }
