"""The quick figure against distances computed one by one, and where something is empty."""

import numpy as np
import pytest
import torch

from visionkit.metrics.nearby import THRESHOLDS, NearbyF, nearby_counts, nearby_f, ridges


def lines(seed, count=2, height=13, width=17):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, height, width, generator=generator) < 0.03).to(torch.int8)


def test_counts_pixel_by_pixel():
    found, drawn = lines(0, 1)[0], lines(1)
    drawn[:, :, 12:] = -1
    reach = 0.1 * np.hypot(13, 17)
    points = [np.argwhere(x.numpy()) for x in ((found > 0) & (drawn[0] >= 0), (drawn == 1).any(0))]
    apart = np.linalg.norm(points[0][:, None] - points[1][None], axis=-1)
    expected = [(apart.min(1) <= reach).sum(), len(points[0]), (apart.min(0) <= reach).sum(), len(points[1])]
    assert 0 < expected[0] < expected[1]
    # Single pixels are their own ridges.
    counts = nearby_counts(found * 0.55, drawn, 0.1)
    for threshold, row in zip(THRESHOLDS, counts.tolist(), strict=True):
        assert row == (expected if threshold < 0.55 else [0, 0, 0, len(points[1])])
    precision, recall = expected[0] / expected[1], expected[2] / expected[3]
    assert nearby_f(counts) == pytest.approx(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize(
    ("found", "drawn", "expected"), [(False, False, 1.0), (True, False, 0.0), (False, True, 0.0), (True, True, 1.0)]
)
@pytest.mark.parametrize("size", [(9, 11), (1, 8), (1, 1)])
def test_conventions(found, drawn, expected, size):
    probability, edges = torch.zeros(size), torch.zeros(3, *size, dtype=torch.int8)
    probability[size[0] // 2], edges[:, size[0] // 2] = float(found), int(drawn)
    assert nearby_f(nearby_counts(probability, edges, 0.0075)) == pytest.approx(expected)


def test_a_blurred_line_becomes_one_pixel_wide():
    ramp = torch.exp(-((torch.arange(21.0) - 9) ** 2) / 8)
    for probability in (ramp.expand(15, 21), ramp.expand(15, 21).T):
        kept = ridges(probability) > 0.01
        assert kept.sum() == 15
        assert (kept == (probability == 1).numpy()).all()


def test_the_set_is_pooled_and_a_permutation_of_it_is_the_same():
    pairs = [(torch.rand(1, 13, 17), lines(seed)[None]) for seed in range(3)]
    figures = []
    for order in ((0, 1, 2), (2, 0, 1)):
        metric = NearbyF(0.05)
        for index in order:
            metric.update(*pairs[index])
        figures.append(float(metric.compute()["nearby_f"]))
    pooled = sum(nearby_counts(probability[0], edges[0], 0.05) for probability, edges in pairs)
    assert figures == [nearby_f(pooled)] * 2
