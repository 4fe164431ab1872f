"""Volumes on another grid: linear functions stay, splines are scipy's, labels are the nearest, faces stay."""

import numpy as np
import pytest
from scipy.ndimage import zoom

from visionkit.datasets.spacing import parse_spacing, resample_image, resample_labels, resampled_shape
from visionkit.errors import ConfigError


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("shape", [(10, 12, 14), (5, 6, 7), (9, 24, 3)])
def test_splines_are_those_of_scipy(order, shape) -> None:
    image = np.random.default_rng(0).normal(size=(1, 5, 8, 6)).astype(np.float32)
    factors = [new / old for new, old in zip(shape, image.shape[1:], strict=True)]
    expected = image[0].astype(np.float64)
    # scipy interpolates beyond the outermost centres by mirroring, here they are held: compare between them.
    expected = zoom(expected, factors, order=order, mode="mirror", grid_mode=True)
    inside = tuple(
        slice(np.ceil(0.5 * new / old - 0.5).astype(int), np.floor((old - 0.5) * new / old - 0.5).astype(int) + 1)
        for new, old in zip(shape, image.shape[1:], strict=True)
    )
    assert expected.shape == shape
    assert np.allclose(resample_image(image, shape, order)[0][inside], expected[inside], atol=1e-5)


def test_a_ramp_stays_a_ramp_between_the_outer_centres() -> None:
    ramp = np.arange(10, dtype=np.float32)[None, :, None, None] + 0.5  # the distance of each centre from the face
    finer = resample_image(ramp, (40, 1, 1))[0, :, 0, 0]
    assert np.allclose(finer[2:-2], (np.arange(40) + 0.5)[2:-2] / 4, atol=1e-5)


def test_the_same_grid_changes_nothing() -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    assert resample_image(image, (3, 4, 5)) is image


def test_labels_are_never_mixed_and_return() -> None:
    labels = np.random.default_rng(0).integers(-1, 9, (4, 5, 6))
    finer = resample_labels(labels, (12, 15, 18))
    assert np.array_equal(finer, np.kron(labels, np.ones((3, 3, 3), int)))
    assert np.array_equal(resample_labels(finer, labels.shape), labels)


def test_the_extent_is_kept() -> None:
    assert resampled_shape((10, 20, 30), (4, 1, 1), (2, 2, 2)) == (20, 10, 15)
    assert resampled_shape((1, 1, 1), (1, 1, 1), (9, 9, 9)) == (1, 1, 1)


@pytest.mark.parametrize("wrong", [[1, 1], [1, 1, 0], [1, 1, float("inf")], [1, -1, 1]])
def test_what_is_no_spacing(wrong) -> None:
    with pytest.raises(ConfigError, match="C59"):
        parse_spacing(wrong, "dataset.layout.spacing_mm")
    assert parse_spacing(None, "") is None
