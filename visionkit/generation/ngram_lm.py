"""N-gram language model over token ids, for the prefix beam search of CTC."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from visionkit.errors import ConfigError
from visionkit.text.character_ngrams import BEGIN, NGrams, unpacked
from visionkit.text.character_ngrams import END as TEXT_END

START, END = -1, 0
"""What stands before a sequence, and after it: ids of tokens are above 0."""


@dataclass(frozen=True)
class Tables:
    """A model as a graph: a state for each context that was seen, the empty one first.

    Attributes:
        first: where the tokens seen in a state begin in the three lists, with one entry more at the end.
        tokens: sorted within a state.
        log_probs: of these tokens.
        targets: state after each of them.
        backoff: log-weight of the next shorter context for tokens that were not seen in a state.
        shorter: state of that context, -1 for the empty one.
        begin: state before the first token.
        unseen: log-probability of a token that no context has.
    """

    first: Int64[np.ndarray, " s1"]
    tokens: Int64[np.ndarray, " n"]
    log_probs: Float64[np.ndarray, " n"]
    targets: Int64[np.ndarray, " n"]
    backoff: Float64[np.ndarray, " s"]
    shorter: Int64[np.ndarray, " s"]
    begin: int
    unseen: float


class NGramModel:
    """Interpolated Witten-Bell smoothing (Chen and Goodman 1998, section 2.5) of token sequences.

    Args:
        order: tokens of an n-gram, 1 for frequencies alone.
        vocabulary: number of ids, those of start and end (0) included.
        counts: how often each n-gram of the order was seen; START stands before the sequences, END after them.

    Raises ConfigError C177 for an order or a vocabulary without meaning.
    """

    def __init__(self, order: int, vocabulary: int, counts: Mapping[tuple[int, ...], int]) -> None:
        if order < 1 or vocabulary < 1:
            what = f"an n-gram model of order {order} over {vocabulary} tokens has no meaning"
            raise ConfigError("C177", "search.language_model", what, "give an order from 1, such as 5")
        self.order, self.vocabulary, self.counts = order, vocabulary, dict(counts)
        self.tables = _tables(order, vocabulary, self.counts)

    @classmethod
    def fit(cls, sequences: Iterable[Sequence[int]], vocabulary: int, order: int = 5) -> "NGramModel":
        """Counts the n-grams of sequences of ids."""
        counts: Counter[tuple[int, ...]] = Counter()
        for sequence in sequences:
            padded = (*[START] * (order - 1), *sequence, END)
            counts.update(padded[place : place + order] for place in range(len(sequence) + 1))
        return cls(order, vocabulary, counts)

    def to_json(self) -> dict[str, Any]:
        """The model as plain JSON."""
        counts = [[*gram, count] for gram, count in sorted(self.counts.items())]
        return {"kind": "ngram", "order": self.order, "vocabulary": self.vocabulary, "counts": counts}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "NGramModel":
        """The inverse of ``to_json``."""
        counts = {tuple(entry[:-1]): entry[-1] for entry in plain["counts"]}
        return cls(plain["order"], plain["vocabulary"], counts)

    def log_prob(self, tokens: Sequence[int], ends: bool = True) -> float:
        """Log-probability of a sequence, with its end or as the beginning of longer ones."""
        state, total = self.tables.begin, 0.0
        for token in (*tokens, END) if ends else tokens:
            log_prob, state = follow(self.tables, state, token)
            total += log_prob
        return total


def character_model(ngrams: NGrams, ids: Mapping[str, int], vocabulary: int) -> NGramModel:
    """The model of a text's n-grams, over the ids of its characters; n-grams with other characters are left out.

    Args:
        ngrams: of ``text.character_ngrams``, one or more, all of one order.
        ids: of the characters, above 0.
        vocabulary: number of ids.
    """
    known = {**ids, BEGIN: START, TEXT_END: END}
    counts = {
        tuple(known[each] for each in gram): count
        for gram, count in unpacked(ngrams).items()
        if all(map(known.__contains__, gram))
    }
    return NGramModel(ngrams[0][0], vocabulary, counts)


def follow(tables: Tables, state: int, token: int) -> tuple[float, int]:
    """Log-probability of a token in a state, and the state after it."""
    total = 0.0
    while state >= 0:
        low, high = tables.first[state], tables.first[state + 1]
        place = low + np.searchsorted(tables.tokens[low:high], token)
        if place < high and tables.tokens[place] == token:
            return total + float(tables.log_probs[place]), int(tables.targets[place])
        total += float(tables.backoff[state])
        state = int(tables.shorter[state])
    return total + tables.unseen, 0


def _tables(order: int, vocabulary: int, counts: Mapping[tuple[int, ...], int]) -> Tables:
    """Every context that was seen as a state; a token leads to the longest suffix of the context that is one."""
    seen: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter, {(): Counter()})
    for gram, count in counts.items():
        for length in range(order):
            seen[gram[order - 1 - length : -1]][gram[-1]] += count
    contexts = sorted(seen, key=lambda context: (len(context), context))
    number = {context: index for index, context in enumerate(contexts)}
    weights = {context: _backoff(seen[context]) for context in contexts}
    probability: dict[tuple[tuple[int, ...], int], float] = {}
    rows: list[tuple[int, float, int]] = []
    first = [0]
    for context in contexts:  # shorter ones first
        total = sum(seen[context].values()) + len(seen[context])
        for token in sorted(seen[context]):
            lower = probability[context[1:], token] if context else 1 / vocabulary
            probability[context, token] = seen[context][token] / total + weights[context] * lower
            target = _suffix((*context, token), number, order)
            rows.append((token, math.log(probability[context, token]), number[target]))
        first.append(len(rows))
    begin = number[_suffix((START,) * (order - 1), number, order)]
    return Tables(
        np.array(first, dtype=np.int64),
        np.array([token for token, _, _ in rows], dtype=np.int64),
        np.array([log_prob for _, log_prob, _ in rows], dtype=np.float64),
        np.array([target for _, _, target in rows], dtype=np.int64),
        np.log([weights[context] for context in contexts]),
        np.array([number[context[1:]] if context else -1 for context in contexts], dtype=np.int64),
        begin,
        -math.log(vocabulary),
    )


def _backoff(tokens: Counter[int]) -> float:
    """Weight of the next shorter context: kinds of tokens over kinds and tokens; 1 where nothing was seen."""
    return len(tokens) / (len(tokens) + sum(tokens.values())) if tokens else 1.0


def _suffix(context: tuple[int, ...], number: Mapping[tuple[int, ...], int], order: int) -> tuple[int, ...]:
    start = max(len(context) - order + 1, 0)
    return next(context[place:] for place in range(start, len(context) + 1) if context[place:] in number)
