"""Matchings against scipy's solvers, and what comes and goes against a fresh start."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from visionkit.metrics.edge_protocol.matching import Matching


def maps(seed: int, share: float, shape: tuple[int, int] = (9, 12), annotators: int = 2) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return rng.permutation(np.flatnonzero(rng.random(shape) < share)), rng.random((annotators, *shape)) < share


def cheapest(found: np.ndarray, drawn: np.ndarray, reach: float) -> tuple[int, int]:
    """Number of pairs and cost of everything, by a dense assignment in which each found pixel may stay alone."""
    fee = max(1, int(np.ceil(100 * reach * 100)))
    pairs = cost = 0
    for one in drawn:
        apart = cdist(np.stack(np.unravel_index(found, one.shape), 1), np.argwhere(one))
        alone = np.full((len(found), len(found)), float(fee))
        costs = np.concatenate([np.where(apart <= reach, np.rint(apart * 100), 10.0 * fee), alone], axis=1)
        rows, columns = linear_sum_assignment(costs)
        pairs += int((columns < apart.shape[1]).sum())
        cost += int(costs[rows, columns].sum())
    return pairs, cost


def everything(found: np.ndarray, drawn: np.ndarray, reach: float) -> tuple[int, int, int]:
    matching = Matching(found, drawn, reach)
    pairs, right = matching.change(found[:0], np.arange(len(found)))
    return pairs, right, matching.cost


@pytest.mark.parametrize("seed", range(40))
def test_pairs_and_cost_are_those_of_a_dense_assignment(seed: int) -> None:
    found, drawn = maps(seed, share=0.1 + 0.02 * (seed % 20))
    reach = (0.0, 1.0, 1.5, 2.3, 3.7)[seed % 5]
    pairs, right, cost = everything(found, drawn, reach)
    assert (pairs, cost) == cheapest(found, drawn, reach)
    assert pairs / 2 <= right <= min(pairs, len(found))


def test_pictures_too_large_to_look_at_in_one_go(monkeypatch) -> None:
    monkeypatch.setattr("visionkit.metrics.edge_protocol.pairs._AT_ONCE", 50)
    found, drawn = maps(3, share=0.4)
    pairs, _, cost = everything(found, drawn, 2.3)
    assert (pairs, cost) == cheapest(found, drawn, 2.3)


@pytest.mark.parametrize("seed", range(20))
def test_it_stays_the_cheapest_while_pixels_come_and_go(seed: int) -> None:
    found, drawn = maps(seed, share=0.3)
    matching, rng = Matching(found, drawn, 2.3), np.random.default_rng(seed)
    present = np.zeros(len(found), bool)
    for _ in range(8):
        wanted = rng.random(len(found)) < rng.random()
        pairs, right = matching.change(np.flatnonzero(present & ~wanted), np.flatnonzero(wanted & ~present))
        present = wanted
        assert (pairs, matching.cost) == cheapest(found[present], drawn, 2.3)
        assert right == matching.matched.sum()
        assert not (matching.matched & ~present).any()


def test_a_chain_is_shifted_so_that_all_find_a_partner() -> None:
    found, drawn = np.zeros((1, 20), bool), np.zeros((1, 1, 20), bool)
    found[0, 1:11], drawn[0, 0, :10] = True, True
    # The nearest drawn pixel of nine is their own place; only one step by all of them leaves nobody alone.
    assert everything(np.flatnonzero(found), drawn, 1.0) == (10, 10, 1000)


def test_a_found_pixel_counts_once_however_many_drawings_match_it() -> None:
    drawn = np.zeros((3, 5, 5), bool)
    drawn[0, 2, 2] = drawn[1, 2, 3] = drawn[2, 0, 0] = True
    assert everything(np.array([12]), drawn, 1.0)[:2] == (2, 1)


@pytest.mark.parametrize(
    ("found", "drawn", "expected"),
    [
        ([], np.zeros((2, 3, 4), bool), (0, 0, 0)),
        ([], np.ones((2, 3, 4), bool), (0, 0, 0)),
        ([5], np.zeros((2, 3, 4), bool), (0, 0, 2 * 100 * 150)),
        ([5], np.zeros((0, 3, 4), bool), (0, 0, 0)),
        ([0], np.ones((1, 1, 1), bool), (1, 1, 0)),
    ],
)
def test_empty_sides(found: list[int], drawn: np.ndarray, expected: tuple[int, int, int]) -> None:
    assert everything(np.array(found, np.int64), drawn, 1.5) == expected
