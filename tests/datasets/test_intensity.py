"""Intensities of whole volumes: against their formulas, without a scale of their own, constant and empty channels."""

import numpy as np
import pytest
import torch

from visionkit.datasets.intensity import ClipZScore, PercentileZScore, WithIntensity, ZScore
from visionkit.errors import ConfigError


def volume(channels=2, seed=0):
    torch.manual_seed(seed)
    return 300 + 40 * torch.randn(channels, 5, 6, 7)


def test_zscore_of_each_channel() -> None:
    image = volume()
    image[1] *= 5
    expected = np.stack([(c - c.mean()) / c.std() for c in image.double().numpy()])
    assert np.allclose(ZScore()(image), expected, atol=1e-5)
    assert ZScore()(image).dtype == torch.float32


@pytest.mark.parametrize("intensity", [ZScore(), PercentileZScore(), ZScore(nonzero=True)])
def test_the_scale_of_an_mr_volume_means_nothing(intensity) -> None:
    torch.testing.assert_close(intensity(volume()), intensity(3 * volume()), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("intensity", [ZScore(), PercentileZScore()])
@pytest.mark.parametrize("value", [0.0, 7.3, 1e-12, 1e8])
def test_a_constant_channel_becomes_zero(intensity, value) -> None:
    assert not intensity(torch.full((1, 3, 3, 3), value)).any()


def test_background_of_value_zero_stays_and_does_not_count() -> None:
    image = volume(1)
    inside = torch.rand(1, 5, 6, 7) > 0.5
    image[~inside] = 0
    result, values = ZScore(nonzero=True)(image), image[inside].double()
    assert not result[~inside].any()
    torch.testing.assert_close(result[inside].double(), (values - values.mean()) / values.std(correction=0))
    assert not ZScore(nonzero=True)(torch.zeros(1, 2, 2, 2)).any()
    assert not PercentileZScore(nonzero=True)(torch.zeros(1, 2, 2, 2)).any()


def test_percentiles_take_away_an_artefact() -> None:
    image = volume(1)
    image[0, 0, 0, 0] = 1e6
    low, high = np.percentile(image.numpy(), (2, 98))
    clipped = image.double().clamp(low, high)
    torch.testing.assert_close(
        PercentileZScore(2, 98)(image).double(),
        (clipped - clipped.mean()) / clipped.std(correction=0),
        atol=1e-4,
        rtol=1e-4,
    )


def test_ct_keeps_its_unit() -> None:
    image = torch.tensor([-2000.0, 0.0, 100.0, 5000.0]).view(1, 1, 1, 4)
    assert ClipZScore(-100, 300, 50, 25)(image).flatten().tolist() == [-6, -2, 2, 10]


def test_as_a_transform_it_changes_the_image_alone() -> None:
    sample = {"key": "a", "image": volume(), "mask": torch.ones(5, 6, 7, dtype=torch.int64)}
    changed = WithIntensity(ZScore())(sample, np.random.default_rng(0))
    assert torch.equal(changed["image"], ZScore()(volume()))
    assert changed["mask"] is sample["mask"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: PercentileZScore(50, 50),
        lambda: PercentileZScore(-1, 50),
        lambda: ClipZScore(0, 0, 0, 1),
        lambda: ClipZScore(0, 1, 0, 0),
        lambda: ClipZScore(0, float("inf"), 0, 1),
    ],
)
def test_impossible_values_are_named(make) -> None:
    with pytest.raises(ConfigError, match="C59"):
        make()
