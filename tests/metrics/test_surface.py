import math

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from visionkit.metrics.conventions import Standard, TransUNet
from visionkit.metrics.surface import SurfaceDistance, border, hausdorff, surface_distances

SPACING = (2.0, 0.7, 1.3)


def blobs(seed: int, *space: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grid = np.indices(space)
    centre = [rng.uniform(0.2, 0.8) * length for length in space]
    radius = rng.uniform(0.15, 0.45) * min(space)
    ball = sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) < radius**2
    return ball | (rng.random(space) < 0.03)


def brute_force(prediction: np.ndarray, truth: np.ndarray, spacing) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of surface voxels in float64, the surfaces by scipy's erosion."""
    points = [np.argwhere(mask & ~binary_erosion(mask)) * np.array(spacing) for mask in (prediction, truth)]
    pairs = np.sqrt(((points[0][:, None] - points[1][None]) ** 2).sum(-1))
    return pairs.min(1), pairs.min(0)


@pytest.mark.parametrize("space", [(9, 11), (6, 9, 8), (1, 7, 5), (1, 1, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_border_is_what_erosion_takes_away(space, seed) -> None:
    mask = blobs(seed, *space)
    assert np.array_equal(border(mask), mask & ~binary_erosion(mask))
    assert border(np.ones(space, bool)).any()


@pytest.mark.parametrize("space", [(14, 17), (9, 11, 10), (1, 12, 9)])
@pytest.mark.parametrize("seed", range(4))
def test_distances_equal_all_pairs(space, seed) -> None:
    prediction, truth, spacing = blobs(seed, *space), blobs(seed + 10, *space), SPACING[: len(space)]
    expected = brute_force(prediction, truth, spacing)
    for found, want in zip(surface_distances(prediction, truth, spacing), expected, strict=True):
        np.testing.assert_allclose(np.sort(found), np.sort(want), rtol=1e-12)
    pooled, larger = (hausdorff(prediction, truth, spacing, pooled=option) for option in (True, False))
    assert pooled == pytest.approx(np.percentile(np.concatenate(expected), 95), rel=1e-12)
    assert larger == pytest.approx(max(np.percentile(part, 95) for part in expected), rel=1e-12)
    assert hausdorff(prediction, truth, spacing, 100) == pytest.approx(max(map(np.max, expected)), rel=1e-12)


def test_distance_is_symmetric_and_follows_the_spacing() -> None:
    prediction, truth = blobs(0, 8, 9, 10), blobs(1, 8, 9, 10)
    first = hausdorff(prediction, truth, SPACING)
    assert hausdorff(truth, prediction, SPACING) == pytest.approx(first)
    assert hausdorff(prediction, truth, [3 * mm for mm in SPACING]) == pytest.approx(3 * first)
    turned = (2, 0, 1)
    again = hausdorff(prediction.transpose(turned), truth.transpose(turned), [SPACING[axis] for axis in turned])
    assert again == pytest.approx(first)
    assert hausdorff(prediction, prediction, SPACING) == 0


def test_two_points_by_hand() -> None:
    prediction, truth = np.zeros((4, 5, 6), bool), np.zeros((4, 5, 6), bool)
    prediction[0, 0, 0] = truth[2, 1, 3] = True
    assert hausdorff(prediction, truth, (1.0, 2.0, 3.0)) == pytest.approx(math.sqrt(2**2 + 2**2 + 9**2))
    assert math.isnan(hausdorff(prediction, np.zeros_like(truth), SPACING))


def cases() -> tuple[torch.Tensor, torch.Tensor]:
    """Class 1 in both, class 2 only predicted, class 3 only true, class 4 in neither; two cases."""
    prediction, truth = torch.zeros(2, 6, 8, 10, dtype=torch.long), torch.zeros(2, 6, 8, 10, dtype=torch.long)
    prediction[:, 1, 1, 1:4] = truth[:, 1, 1, 1:4] = 1
    prediction[1, 1, 1, 3], truth[1, 1, 4, 3] = 0, 1
    prediction[:, 4, 4, 4], truth[:, 5, 5, 5] = 2, 3
    return prediction, truth


DIAGONAL = math.sqrt((6 * 2.0) ** 2 + (8 * 0.7) ** 2 + (10 * 1.3) ** 2)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"convention": Standard()}, [DIAGONAL, DIAGONAL, math.nan]),
        ({"convention": Standard(penalise=False)}, [math.nan] * 3),
        ({"convention": Standard(absent_dice=1.0)}, [DIAGONAL, DIAGONAL, 0.0]),
        ({"convention": TransUNet()}, [0.0, 0.0, 0.0]),
        ({"use_spacing": False}, [math.sqrt(200), math.sqrt(200), math.nan]),
    ],
    ids=str,
)
def test_empty_classes_under_both_conventions(options, expected) -> None:
    prediction, truth = cases()
    metric = SurfaceDistance(5, **options)
    metric.update(prediction, truth, torch.tensor([SPACING] * 2, dtype=torch.float64))
    figures = metric.compute()
    spacing = (1.0, 1.0, 1.0) if "use_spacing" in options else SPACING
    pairs = [brute_force(*((mask[i] == 1).numpy() for mask in (prediction, truth)), spacing) for i in range(2)]
    first = sum(np.percentile(np.concatenate(pair), 95) for pair in pairs) / 2
    assert figures["hd95"].tolist() == pytest.approx([math.nan, first, *expected], nan_ok=True)
    counted = [value for value in [first, *expected] if not math.isnan(value)]
    assert float(figures["mean_hd95"]) == pytest.approx(sum(counted) / len(counted))


def test_padding_changes_nothing_and_spacing_may_be_unknown() -> None:
    prediction, truth = cases()
    plain, padded = SurfaceDistance(5), SurfaceDistance(5)
    plain.update(prediction, truth)
    more = [
        torch.nn.functional.pad(mask, (0, 2, 0, 3, 0, 1), value=fill) for mask, fill in ((prediction, 4), (truth, -1))
    ]
    padded.update(*more)
    torch.testing.assert_close(padded.compute(), plain.compute(), rtol=0, atol=0, equal_nan=True)


def test_pictures_have_surfaces_as_well() -> None:
    prediction, truth = torch.zeros(1, 9, 9, dtype=torch.long), torch.zeros(1, 9, 9, dtype=torch.long)
    prediction[0, 2, 2], truth[0, 5, 6] = 1, 1
    metric = SurfaceDistance(2)
    metric.update(prediction, truth)
    assert float(metric.compute()["mean_hd95"]) == pytest.approx(5.0)
