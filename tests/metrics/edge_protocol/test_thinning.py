"""Thinning against the conditions of Guo and Hall written out, and what must survive it."""

import numpy as np
import pytest
from scipy.ndimage import label

from visionkit.metrics.edge_protocol.thinning import GrowingLines, thin


def shifted(lines: np.ndarray, down: int, across: int) -> np.ndarray:
    padded = np.pad(lines, 1)
    return padded[1 + down : 1 + down + lines.shape[0], 1 + across : 1 + across + lines.shape[1]]


def by_conditions(lines: np.ndarray) -> np.ndarray:
    lines = lines.copy()
    while True:
        before = lines.copy()
        for half in range(2):
            east, north_east, north, north_west = (shifted(lines, *d) for d in ((0, 1), (-1, 1), (-1, 0), (-1, -1)))
            west, south_west, south, south_east = (shifted(lines, *d) for d in ((0, -1), (1, -1), (1, 0), (1, 1)))
            crossings = (
                (~east & (north_east | north)).astype(int)
                + (~north & (north_west | west))
                + (~west & (south_west | south))
                + (~south & (south_east | east))
            )
            one = (east | north_east).astype(int) + (north | north_west) + (west | south_west) + (south | south_east)
            two = (north_east | north).astype(int) + (north_west | west) + (south_west | south) + (south_east | east)
            fewest = np.minimum(one, two)
            third = (
                ~((north_east | north | ~south_east) & east)
                if half == 0
                else ~((south_west | south | ~north_west) & west)
            )
            lines &= ~((crossings == 1) & (fewest >= 2) & (fewest <= 3) & third)
        if (lines == before).all():
            return lines


def blobs(seed: int, share: float, shape: tuple[int, int] = (17, 23)) -> np.ndarray:
    noise = np.random.default_rng(seed).random(shape)
    smooth = sum(shifted(noise, *step) for step in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0)))
    return smooth > np.quantile(smooth, 1 - share)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_it_fulfils_the_conditions(seed: int, share: float) -> None:
    lines = blobs(seed, share)
    assert (thin(lines) == by_conditions(lines)).all()


def test_all_neighbourhoods() -> None:
    for code in range(256):
        lines = np.array([code >> bit & 1 for bit in range(4)] + [1] + [code >> bit & 1 for bit in range(4, 8)], bool)
        assert (thin(lines.reshape(3, 3)) == by_conditions(lines.reshape(3, 3))).all(), code


def test_parts_and_holes_stay_and_nothing_is_left_to_thin() -> None:
    lines = blobs(0, 0.6, (40, 50))
    left = thin(lines)
    assert left.sum() < 0.6 * lines.sum()
    assert not (left & ~lines).any()
    assert label(left, np.ones((3, 3)))[1] == label(lines, np.ones((3, 3)))[1]
    assert label(np.pad(~left, 1, constant_values=True))[1] == label(np.pad(~lines, 1, constant_values=True))[1]
    assert (thin(left) == left).all()


def test_growing_is_thinning_again() -> None:
    order = np.random.default_rng(0).permutation(20 * 30)
    lines = GrowingLines((20, 30), order)
    for count in (0, 1, 50, 50, 400, 600):
        whole, left = np.zeros(600, bool), np.zeros(600, bool)
        whole[order[:count]] = True
        left[order[:count]] = lines.thinned(count)
        assert (left.reshape(20, 30) == thin(whole.reshape(20, 30))).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (5, 6)])
@pytest.mark.parametrize("value", [False, True])
def test_small_and_empty(shape: tuple[int, int], value: bool) -> None:
    lines = np.full(shape, value)
    assert (thin(lines) == by_conditions(lines)).all()
    assert thin(lines).any() == value
