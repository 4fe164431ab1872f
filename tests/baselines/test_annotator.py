import pytest
import torch

from visionkit.baselines.annotator import counts_against_the_others
from visionkit.metrics.edge_protocol.curve import f_measure


def drawn(*rows: int) -> torch.Tensor:
    """One annotator a row: each draws a line in that row of a picture of 40 rows."""
    edges = torch.zeros(len(rows), 40, 50, dtype=torch.int8)
    for annotator, row in enumerate(rows):
        edges[annotator, row] = 1
    return edges


def test_two_of_three_agree() -> None:
    # Each of the two meets one of two others, the third meets nobody; a pixel is right if anybody else drew it.
    counts = counts_against_the_others(drawn(9, 9, 30), 0.0075)
    assert counts.tolist() == [[100, 300, 100, 150]]
    assert f_measure(counts)[0] == pytest.approx(2 * (1 / 3) * (2 / 3))


def test_a_pixel_apart_is_within_reach_where_the_tolerance_says_so() -> None:
    pair = drawn(9, 10)
    assert counts_against_the_others(pair, 1.2 / 64).tolist() == [[100, 100, 100, 100]]
    assert counts_against_the_others(pair, 0.8 / 64)[0, 0] == 0


def test_alone_and_where_the_others_know_nothing() -> None:
    assert counts_against_the_others(drawn(9), 0.0075).tolist() == [[0, 0, 0, 0]]
    half = drawn(9, 9)
    half[1, :, 20:] = -1
    assert counts_against_the_others(half, 0.0075).tolist() == [[40, 70, 40, 40]]
