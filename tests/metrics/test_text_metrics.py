"""Text metrics against dynamic programming written out, against torchmetrics, and on hand-made cases."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.text import char_error_rate
from torchmetrics.functional.text import word_error_rate as torchmetrics_wer

from visionkit.labels import Charset
from visionkit.metrics.text import (
    TextAccuracy,
    TextErrors,
    character_error_rate,
    edits,
    reading,
    simplified,
    token_edits,
    word_error_rate,
)


def texts(seed, count=40):
    generator = np.random.default_rng(seed)
    return ["".join(generator.choice(list("ab C.é"), generator.integers(0, 12))) for _ in range(count)]


def levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(before + (x != y), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def test_edits_by_characters_and_by_words():
    pairs = list(zip(texts(0), texts(1), strict=True))
    assert edits(*zip(*pairs, strict=True)).tolist() == [levenshtein(a, b) for a, b in pairs]
    words = [[levenshtein(a.split(), b.split()), len(b.split())] for a, b in pairs]
    assert token_edits(*zip(*pairs, strict=True)).tolist() == words
    assert edits([], []).tolist() == []
    assert token_edits([], []).shape == (0, 2)
    for count in (edits, token_edits):
        with pytest.raises(ValueError):  # noqa: PT011
            count(["a", "b"], ["a"])


def test_rates_are_those_of_torchmetrics():
    predicted, true = texts(2), texts(3)
    assert character_error_rate(predicted, true) == pytest.approx(float(char_error_rate(predicted, true)))
    assert word_error_rate(predicted, true) == pytest.approx(float(torchmetrics_wer(predicted, true)))


def test_by_hand():
    metric = TextErrors()
    metric.update(["abcd", "the cat"], ["abxd", "the cats sat"])
    assert values(metric) == pytest.approx(
        {"cer": (1 + 5) / (4 + 12), "wer": (1 + 2) / (1 + 3), "ned": (1 / 4 + 5 / 12) / 2}
    )
    accuracy = TextAccuracy()
    accuracy.update(["a", "A", "a.", "aB!", "xyz", "xyzuv"], ["a", "a", "A", "ab?", "", "abcde"])
    figures = values(accuracy)
    assert figures == pytest.approx(
        {
            "exact": 1 / 6,
            "exact_no_case": 2 / 6,
            "exact_alphanumeric": 4 / 6,
            "within_1": 2 / 6,
            "within_2": 4 / 6,
            "within_3": 5 / 6,
        }
    )


def values(metric):
    return {name: float(value) for name, value in metric.compute().items()}


def test_tokens_of_formulas():
    accuracy = TextAccuracy(separator=" ")
    accuracy.update(["\\frac { x } { 2 }", "\\alpha + b"], ["\\frac { x } { 3 }", "\\beta  -  b"])
    assert [values(accuracy)[name] for name in ("exact", "within_1", "within_2")] == [0, 0.5, 1]


def test_simplified():
    assert simplified("Tschüß, 3 O'Clock!") == "tschüss3oclock"


def test_simplified_keeps_the_signs_of_letters():
    day, poor = "\u0926\u093f\u0928", "\u0926\u0940\u0928"  # din and diin: Hindi words that differ in a vowel sign
    assert simplified(day) != simplified(poor)
    assert simplified(f"{day}, 3!") == f"{day}3"
    assert simplified("E\u0301t\u00e9") == simplified("\u00c9TE\u0301") == "\u00e9t\u00e9"
    accuracy = TextAccuracy()
    accuracy.update([day, "CAF\u00c9!"], [poor, "cafe\u0301"])
    assert values(accuracy)["exact_alphanumeric"] == 0.5


def test_in_parts_and_in_any_order_it_is_the_same():
    predicted, true = texts(4), texts(5)
    whole, parts = reading(Charset(()), replicas=50), reading(Charset(()), replicas=50)
    whole.update(predicted, true)
    order = np.random.default_rng(0).permutation(len(true))
    for part in np.array_split(order, 7):
        parts.update([predicted[index] for index in part], [true[index] for index in part])
    assert {name: float(value) for name, value in whole.compute().items()} == {
        name: float(value) for name, value in parts.compute().items()
    }


def test_confidence_intervals():
    generator = np.random.default_rng(1)
    shares, covered = 0.3, 0
    for _ in range(60):
        right = generator.random(200) > shares
        metric = TextAccuracy(replicas=300)
        metric.update(["a" if hit else "b" for hit in right], ["a"] * 200)
        figures = values(metric)
        assert figures["exact_low"] <= figures["exact"] <= figures["exact_high"]
        # Of a mean of zeros and ones the normal approximation is good.
        deviation = math.sqrt(right.mean() * (1 - right.mean()) / 200)
        assert figures["exact_high"] - figures["exact_low"] == pytest.approx(2 * 1.96 * deviation, rel=0.25)
        covered += figures["exact_low"] <= 1 - shares <= figures["exact_high"]
    assert 50 <= covered <= 60
    assert "cer_low" in TextErrors(replicas=10).figures
    assert TextErrors().figures == ("cer", "wer", "ned")


def test_nothing_to_read_and_nothing_read():
    metric = TextErrors(replicas=10)
    assert all(math.isnan(value) for value in values(metric).values())
    metric.update([], [])
    assert all(math.isnan(value) for value in values(metric).values())
    metric.update([""], [""])
    assert values(metric)["cer"] == values(metric)["wer"] == values(metric)["ned"] == 0
    metric.reset()
    metric.update(["ab c"], [""])
    assert [values(metric)[name] for name in ("cer", "wer", "ned")] == [4, 2, 1]
    assert math.isnan(character_error_rate([], []))


def test_the_sums_are_whole_numbers():
    metric = reading(Charset(()))
    metric.update(texts(0), texts(1))
    assert all(part.sums.dtype == torch.int64 for part in metric.values())
    assert not any(hasattr(part, "rows") for part in metric.values())
