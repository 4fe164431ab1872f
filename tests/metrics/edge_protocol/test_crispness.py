import math

import numpy as np
import pytest

from visionkit.metrics.edge_protocol.crispness import crispness


def test_one_for_lines_of_one_pixel_and_less_the_wider_they_are() -> None:
    y, x = np.mgrid[:60, :80]
    away = np.abs(np.hypot(x - 40, y - 30) - 18)  # a ring far from the border
    crisp = [crispness(np.exp(-(away**2) / (2 * sigma**2))) for sigma in (0.4, 1.0, 2.0, 3.0)]
    assert crisp == sorted(crisp, reverse=True)
    # A ridge of deviation s holds s * sqrt(2 pi) times what lies on its top.
    assert crisp[2] == pytest.approx(1 / (2 * math.sqrt(2 * math.pi)), abs=0.06)
    line = np.zeros((40, 50))
    line[np.arange(10, 30), np.arange(15, 35)] = 0.6
    assert crispness(line) == pytest.approx(1.0)


def test_it_does_not_depend_on_the_scale_of_the_values() -> None:
    values = np.random.default_rng(0).random((20, 30))
    assert crispness(values) == pytest.approx(crispness(values / 8))


@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (20, 1)])
def test_small_and_empty(shape: tuple[int, int]) -> None:
    assert 0 < crispness(np.ones(shape)) <= 1
    assert math.isnan(crispness(np.zeros(shape)))
