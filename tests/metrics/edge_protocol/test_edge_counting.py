"""Counts at thresholds against each threshold on its own: cut, thinned and matched by scipy."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from visionkit.metrics.edge_protocol.counting import eight_bits, threshold_counts
from visionkit.metrics.edge_protocol.thinning import thin


def example(seed: int, shape: tuple[int, int] = (17, 23), annotators: int = 3) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    drawn = rng.random((annotators, *shape)) < 0.08
    near = np.clip(drawn.any(0) * rng.random(shape) + 0.5 * rng.random(shape) ** 3, 0, 1)
    return (near * 255).astype(np.uint8), drawn


def partners(found: np.ndarray, drawn: np.ndarray, reach: float) -> int:
    apart = cdist(np.argwhere(found), np.argwhere(drawn))
    alone = np.full((apart.shape[0], apart.shape[0]), 1e4 * reach)
    costs = np.concatenate([np.where(apart <= reach, np.rint(100 * apart), 1e7), alone], axis=1)
    return int((linear_sum_assignment(costs)[1] < apart.shape[1]).sum())


@pytest.mark.parametrize("thinned", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_every_threshold_by_itself(seed: int, thinned: bool) -> None:
    found, drawn = example(seed)
    known = np.random.default_rng(seed).random(found.shape) < 0.9
    counts = threshold_counts(found, drawn, known, tolerance=0.06, thresholds=19, thinned=thinned)
    reach = 0.06 * np.hypot(*found.shape)
    for index, row in enumerate(counts.tolist()):
        cut = found / 255 >= np.nextafter((index + 1) / 20, 0)
        cut = (thin(cut) if thinned else cut) & known
        met = [partners(cut, one, reach) for one in drawn]
        assert row[0] == sum(met)
        assert row[1] == drawn.sum()
        assert max(met, default=0) <= row[2] <= min(sum(met), cut.sum())
        assert row[3] == cut.sum()


def test_precision_counts_any_annotator_and_recall_each() -> None:
    found, drawn = np.zeros((8, 9), np.uint8), np.zeros((3, 8, 9), bool)
    found[2, 2] = found[5, 5] = 128
    drawn[:2, 2, 2] = drawn[2, 5, 5] = drawn[2, 7, 0] = True
    counts = threshold_counts(found, drawn, np.ones((8, 9), bool), 0.0075, thresholds=3)
    assert counts.tolist() == [[3, 4, 2, 2], [3, 4, 2, 2], [0, 4, 0, 0]]


def test_a_value_on_a_threshold_is_found() -> None:
    found = np.arange(256, dtype=np.uint8).reshape(16, 16)
    counts = threshold_counts(found, np.zeros((1, 16, 16), bool), np.ones((16, 16), bool), 0.0075, 99, thinned=False)
    assert counts[:, 3].tolist() == [256 - int(np.ceil(255 * k / 100)) for k in range(1, 100)]


def test_thresholds_that_are_left_out_change_nothing_at_the_others() -> None:
    found, drawn = example(7, (40, 50))
    known = np.ones(found.shape, bool)
    every, some = (threshold_counts(found, drawn, known, 0.03, number) for number in (99, 9))
    difference = np.abs(every[9::10] - some)
    assert not difference[:, [0, 1, 3]].any()
    assert difference[:, 2].max() <= 1  # among matchings of equal cost any may be taken


def test_mirrored_pictures_count_the_same_unless_thinned() -> None:
    found, drawn = example(3, (30, 40))
    known = np.ones(found.shape, bool)
    first = threshold_counts(found, drawn, known, 0.03, 19, thinned=False)
    second = threshold_counts(found[:, ::-1], drawn[:, :, ::-1], known, 0.03, 19, thinned=False)
    assert (first[:, [0, 1, 3]] == second[:, [0, 1, 3]]).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 12), (12, 1), (6, 7)])
@pytest.mark.parametrize("annotators", [0, 1, 3])
@pytest.mark.parametrize("thinned", [True, False])
def test_empty_ones_and_rows(shape: tuple[int, int], annotators: int, thinned: bool) -> None:
    full, none = np.full(shape, 255, np.uint8), np.zeros(shape, np.uint8)
    drawn, known = np.ones((annotators, *shape), bool), np.ones(shape, bool)
    size = int(thin(full > 0).sum()) if thinned else full.size
    expected = {
        "both": [annotators * size, annotators * full.size, size if annotators else 0, size],
        "only drawn": [0, annotators * full.size, 0, 0],
        "only found": [0, 0, 0, size],
        "unknown": [0, 0, 0, 0],
    }
    got = {
        "both": threshold_counts(full, drawn, known, 0.0075, 2, thinned),
        "only drawn": threshold_counts(none, drawn, known, 0.0075, 2, thinned),
        "only found": threshold_counts(full, ~drawn, known, 0.0075, 2, thinned),
        "unknown": threshold_counts(full, ~drawn, ~known, 0.0075, 2, thinned),
    }
    assert {name: counts.tolist() for name, counts in got.items()} == {k: [v] * 2 for k, v in expected.items()}


def test_eight_bits() -> None:
    assert eight_bits(np.array([[-1.0, 0.0, 0.5, 1.0, 2.0, 0.0019, 0.002]])).tolist() == [[0, 0, 128, 255, 255, 0, 1]]
