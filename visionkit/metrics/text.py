"""Errors of texts that were read. Every figure comes from whole numbers that are summed over the set.

Error rates are micro-averaged: edits of all texts over the length of all true texts, so that a long line counts for
more than a short one. Where all true texts are empty, the length counts as 1. Without any text a figure is NaN.
"""

import math
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float64, Int64
from rapidfuzz.distance import Levenshtein
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from visionkit.labels import Charset

_UNIT = 10**9
"""Shares are summed as whole parts of this, so that their order changes nothing."""


def edits(predicted: Sequence[str], true: Sequence[str]) -> Int64[np.ndarray, " n"]:
    """Levenshtein distance of each pair of texts by characters (Unicode code points).

    Raises ValueError where a text has no pair.
    """
    if len(predicted) != len(true):
        raise ValueError(f"{len(predicted)} texts were read, and {len(true)} are true")
    return np.fromiter(map(Levenshtein.distance, predicted, true), np.int64, len(true))


def token_edits(
    predicted: Sequence[str], true: Sequence[str], split: Callable[[str], list[str]] = str.split
) -> Int64[np.ndarray, "n 2"]:
    """Levenshtein distance of each pair of texts by words or other tokens, and the tokens of the truth."""
    numbers: list[int] = []  # of tokens; keeping the tokens would keep the garbage collector busy
    for read, text in zip(predicted, true, strict=True):
        tokens = split(text)
        numbers += (Levenshtein.distance(split(read), tokens), len(tokens))
    return np.array(numbers, np.int64).reshape(len(true), 2)


def lengths(texts: Sequence[str]) -> Int64[np.ndarray, " n"]:
    """Characters of each text."""
    return np.fromiter(map(len, texts), np.int64, len(texts))


def character_error_rate(predicted: Sequence[str], true: Sequence[str]) -> float:
    """Edits over characters of the truth; spaces count, and nothing is stripped."""
    return float(_rate(edits(predicted, true).sum(), lengths(true).sum())) if len(true) else math.nan


def word_error_rate(predicted: Sequence[str], true: Sequence[str]) -> float:
    """Edits over words of the truth, which are what stands between white space."""
    return float(_rate(*token_edits(predicted, true).sum(0))) if len(true) else math.nan


def simplified(text: str) -> str:
    """Letters and digits of any script in lower case: how scene text is compared without case and punctuation.

    Signs that belong to letters, such as vowels of Devanagari and accents (Unicode categories Mn and Mc, after NFC),
    are kept: without them different words would be the same.
    """
    text = text.casefold()
    if text.isascii():
        return "".join(filter(str.isalnum, text))
    return "".join(filter(_is_written, unicodedata.normalize("NFC", text)))


def _is_written(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) in ("Mn", "Mc")


class CountedMetric(Metric):
    """Figures from the sums of whole numbers that each text gives, with confidence intervals if they are wanted.

    Args:
        replicas: of the bootstrap that gives each figure an interval ``<figure>_low`` to ``<figure>_high`` (Efron
            and Tibshirani 1993, chapter 13, percentiles); 0 for none, which keeps only the sums.
        confidence: of the intervals.
    """

    full_state_update = False
    counts: ClassVar[int]
    rates_of: ClassVar[tuple[str, ...]]
    class_figures = ()
    sums: Tensor
    rows: list[Tensor]

    def __init__(self, replicas: int = 0, confidence: float = 0.95) -> None:
        super().__init__()
        self.replicas, self.confidence = replicas, confidence
        ends = [f"{name}_{end}" for name in self.rates_of for end in ("low", "high")] if replicas else []
        self.figures = (*self.rates_of, *ends)
        self.add_state("sums", torch.zeros(self.counts + 1, dtype=torch.int64), dist_reduce_fx="sum")
        if replicas:
            self.add_state("rows", [], dist_reduce_fx="cat")

    def count(self, predicted: Sequence[str], true: Sequence[str]) -> Int64[np.ndarray, "n k"]:
        """The numbers of each text."""
        raise NotImplementedError

    def rates(self, sums: Int64[np.ndarray, "*r k"], texts: Int64[np.ndarray, "*r"]) -> list[np.ndarray]:
        """The figures from sums, in the order of ``rates_of``."""
        raise NotImplementedError

    def update(self, predicted: Sequence[str], true: Sequence[str]) -> None:
        """Adds texts that were read and their truth, both in the same Unicode normal form."""
        counted = self.count(predicted, true)
        rows = torch.from_numpy(np.column_stack([counted, np.ones(len(counted), np.int64)])).to(self.sums.device)
        self.sums += rows.sum(0)
        if self.replicas:
            self.rows.append(rows)

    def compute(self) -> dict[str, Tensor]:
        """The figures, by name."""
        values = self._figures(self.sums.cpu().numpy())
        if self.replicas:
            sampled = self._figures(self._resampled())
            outside = 50 * (1 - self.confidence)
            for name in self.rates_of:
                low, high = np.percentile(sampled[name], [outside, 100 - outside])
                values |= {f"{name}_low": low, f"{name}_high": high}
        return {name: torch.tensor(float(value), dtype=torch.float64) for name, value in values.items()}

    def _figures(self, sums: Int64[np.ndarray, "*r k1"]) -> dict[str, Any]:
        texts = sums[..., -1]
        rates = self.rates(sums[..., :-1], np.maximum(texts, 1))
        return {name: np.where(texts > 0, rate, np.nan) for name, rate in zip(self.rates_of, rates, strict=True)}

    def _resampled(self) -> Int64[np.ndarray, "r k1"]:
        """Sums of sets of the same size, drawn with replacement; equal texts are drawn together, in no order."""
        if not int(self.sums[-1]):
            return np.zeros((1, self.counts + 1), np.int64)
        rows, times = np.unique(dim_zero_cat(self.rows).cpu().numpy(), axis=0, return_counts=True)
        drawn = np.random.default_rng(0).multinomial(times.sum(), times / times.sum(), size=self.replicas)
        return drawn @ rows


class TextErrors(CountedMetric):
    """``cer``, ``wer``, and ``ned``, the edits over the length of the longer text, as a mean over the texts."""

    counts = 5
    rates_of = ("cer", "wer", "ned")

    def count(self, predicted: Sequence[str], true: Sequence[str]) -> Int64[np.ndarray, "n 5"]:
        """Edits and length by characters and by words, and the normalised edits."""
        wrong, size = edits(predicted, true), lengths(true)
        longer = np.maximum(np.maximum(lengths(predicted), size), 1)
        shares = np.round(wrong / longer * _UNIT).astype(np.int64)
        return np.column_stack([wrong, size, token_edits(predicted, true), shares])

    def rates(self, sums: Int64[np.ndarray, "*r 5"], texts: Int64[np.ndarray, "*r"]) -> list[np.ndarray]:
        """As named."""
        wrong, size, wrong_words, words, shares = np.moveaxis(sums, -1, 0)
        return [_rate(wrong, size), _rate(wrong_words, words), shares / _UNIT / texts]


class TextAccuracy(CountedMetric):
    """Share of the texts that are right as a whole.

    ``exact`` compares everything, ``exact_no_case`` case-folded texts, ``exact_alphanumeric`` what ``simplified``
    leaves. ``within_1``, ``within_2`` and ``within_3`` allow as many edits of tokens (ExpRate of formulas).

    Args:
        separator: of the tokens that edits are counted in; empty for characters.
        replicas, confidence: as of ``CountedMetric``.
    """

    counts = 6
    rates_of = ("exact", "exact_no_case", "exact_alphanumeric", "within_1", "within_2", "within_3")

    def __init__(self, separator: str = "", replicas: int = 0, confidence: float = 0.95) -> None:
        super().__init__(replicas, confidence)
        self.separator = separator

    def count(self, predicted: Sequence[str], true: Sequence[str]) -> Int64[np.ndarray, "n 6"]:
        """1 for each figure that counts the text as right."""
        pairs = list(zip(predicted, true, strict=True))
        exact = [a == b for a, b in pairs]
        no_case = [same or a.casefold() == b.casefold() for same, (a, b) in zip(exact, pairs, strict=True)]
        letters = [same or simplified(a) == simplified(b) for same, (a, b) in zip(no_case, pairs, strict=True)]
        wrong = token_edits(predicted, true, self._split)[:, 0] if self.separator else edits(predicted, true)
        return np.column_stack([exact, no_case, letters, wrong <= 1, wrong <= 2, wrong <= 3]).astype(np.int64)

    def rates(self, sums: Int64[np.ndarray, "*r 6"], texts: Int64[np.ndarray, "*r"]) -> list[np.ndarray]:
        """As named."""
        return list(np.moveaxis(sums / np.asarray(texts)[..., None], -1, 0))

    def _split(self, text: str) -> list[str]:
        return [token for token in text.split(self.separator) if token]


def reading(labels: Charset, replicas: int = 0) -> MetricCollection:
    """Errors and accuracy of read texts, each with a confidence interval where ``replicas`` is not 0."""
    return MetricCollection([TextErrors(replicas), TextAccuracy(replicas=replicas)], compute_groups=False)


def _rate(wrong: Any, size: Any) -> Float64[np.ndarray, "*r"]:
    return wrong / np.maximum(size, 1)
