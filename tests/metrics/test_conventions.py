import math

import pytest

from visionkit.metrics.conventions import Standard, TransUNet

CASES = [(True, False), (False, True), (False, False)]


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        (Standard(), [(0, 7), (0, 7), (math.nan, math.nan)]),
        (Standard(penalise=False), [(0, math.nan), (0, math.nan), (math.nan, math.nan)]),
        (Standard(absent_dice=1.0), [(0, 7), (0, 7), (1, 0)]),
        (TransUNet(), [(1, 0), (0, 0), (0, 0)]),
    ],
    ids=str,
)
def test_empty_structures_count_as_stated(convention, expected) -> None:
    found = [convention(predicted, true, 7.0) for predicted, true in CASES]
    assert found == [pytest.approx(pair, nan_ok=True) for pair in expected]
