"""Figures from counts that can be worked out by hand."""

import numpy as np
import pytest

from visionkit.metrics.edge_protocol.curve import average_precision, best_counts, best_f, f_measure, recall_at_half

STEPS = np.array([[100, 100, 20, 100], [80, 100, 40, 80], [40, 100, 30, 40], [0, 100, 0, 0]])
"""Recall 1, 0.8, 0.4, 0; precision 0.2, 0.5, 0.75, 0."""


def test_f_at_thresholds_and_between_them() -> None:
    np.testing.assert_allclose(f_measure(STEPS), [1 / 3, 8 / 13, 12 / 23, 0])
    assert best_counts(STEPS).tolist() == [80, 100, 40, 80]
    share = np.linspace(0, 1, 100)
    recall, precision = 0.8 - 0.4 * share, 0.5 + 0.25 * share
    expected = (2 * recall * precision / (recall + precision)).max()
    assert expected > 8 / 13
    assert best_f(STEPS) == pytest.approx(expected)


def test_average_precision_is_the_sum_of_101_over_100() -> None:
    grid = np.arange(101) / 100
    expected = [
        0.75 * r / 0.4 if r <= 0.4 else 0.75 - 0.25 * (r - 0.4) / 0.4 if r <= 0.8 else 0.5 - 0.3 * (r - 0.8) / 0.2
        for r in grid
    ]
    assert average_precision(STEPS) == pytest.approx(sum(expected) / 100)
    assert average_precision(STEPS[1:]) == pytest.approx(sum(expected[:81]) / 100)  # beyond recall 0.8 there is nothing
    assert average_precision(STEPS[:1]) == 0


def test_perfect_from_edge_to_edge_is_above_one() -> None:
    counts = np.array([[10, 10, 10, 10], [5, 10, 5, 5], [0, 10, 0, 0]])
    assert average_precision(counts[[0, 1]]) == pytest.approx(51 / 100)
    assert average_precision(np.array([[10, 10, 10, 10], [1, 1000, 1, 1]])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([0, 1, 2, 3], 0.8), ([0, 2], 1 - 0.6 * 0.3 / 0.55), ([2, 3], 0.4), ([0, 3], 0.0), ([3], 0.0)],
)
def test_recall_where_half_is_right(rows: list[int], expected: float) -> None:
    assert recall_at_half(STEPS[rows]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows", "f", "others"),
    [
        ([[0, 0, 0, 0], [0, 0, 0, 0]], 1.0, 1.0),
        ([[0, 0, 0, 7], [0, 0, 0, 0]], 1.0, 0.0),
        ([[0, 0, 0, 7], [0, 0, 0, 7]], 0.0, 0.0),
        ([[0, 9, 0, 0], [0, 9, 0, 0]], 0.0, 0.0),
        ([[0, 9, 0, 7]], 0.0, 0.0),
    ],
)
def test_where_one_side_is_empty(rows: list[list[int]], f: float, others: float) -> None:
    counts = np.array(rows)
    assert best_f(counts) == f
    assert f_measure(best_counts(counts)[None])[0] == f
    assert average_precision(counts) == recall_at_half(counts) == others


def test_of_equal_recalls_the_precision_at_the_lowest_threshold_counts() -> None:
    counts = np.array([[8, 10, 4, 10], [8, 10, 6, 8], [0, 10, 0, 0]])
    assert average_precision(counts) == pytest.approx(sum(0.4 * (r / 80) for r in range(81)) / 100)
