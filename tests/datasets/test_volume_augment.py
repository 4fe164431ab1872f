"""Flips and intensities of volumes: against formulas, invariances, nothing changed in place, and clear mistakes."""

import numpy as np
import pytest
import torch

from visionkit.datasets.volume_augment import Contrast, Flip, Gamma, InOrder, Noise
from visionkit.errors import ConfigError

ALWAYS = [Flip(p=1), Gamma(p=1), Contrast(p=1, shift=0.3), Noise(std=0.5, p=1)]
NEVER = [Flip(p=0), Gamma(p=0), Contrast(p=0), Noise(p=0)]


def sample(shape=(2, 6, 7, 8), seed=0):
    torch.manual_seed(seed)
    image = torch.randn(shape)
    return {"key": "a", "image": image, "mask": (image[0] > 0).long(), "valid": image[0] > -2}


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("transform", ALWAYS, ids=lambda t: type(t).__name__)
def test_the_given_sample_stays_and_the_generator_decides(transform):
    given = sample()
    first, again, other = (transform(given, rng(seed))["image"] for seed in (1, 1, 2))
    assert torch.equal(given["image"], sample()["image"])
    assert torch.equal(first, again)
    assert not torch.equal(first, given["image"])
    assert isinstance(transform, Flip) or not torch.equal(first, other)
    assert first.dtype == torch.float32


@pytest.mark.parametrize("transform", NEVER, ids=lambda t: type(t).__name__)
def test_a_share_of_zero_changes_nothing(transform):
    assert torch.equal(transform(sample(), rng())["image"], sample()["image"])


@pytest.mark.parametrize("transform", ALWAYS, ids=lambda t: type(t).__name__)
def test_a_constant_volume_stays_finite(transform):
    image = torch.full((1, 3, 1, 2), 5.0)
    assert transform({"image": image}, rng())["image"].isfinite().all()


def test_flips_mirror_image_mask_and_valid_alike():
    changed = Flip(axes=(0, 2), p=1)(sample(), rng())
    for key in ("image", "mask", "valid"):
        assert torch.equal(changed[key], sample()[key].flip((-3, -1)))


def test_every_axis_is_flipped_by_itself():
    image = torch.arange(8.0).reshape(1, 2, 2, 2)
    corners = {float(Flip()({"image": image}, rng(seed))["image"][0, 0, 0, 0]) for seed in range(100)}
    assert corners == set(range(8))


@pytest.mark.parametrize("inverted", [0, 1])
def test_gamma_is_a_power_with_the_moments_kept(inverted):
    volume = sample()
    changed = Gamma(power=(2, 2), p=1, p_inverted=inverted)(volume, rng())["image"].double().numpy()
    for old, new in zip(volume["image"].double().numpy(), changed, strict=True):
        low, high = old.min(), old.max()
        unit = (high - old if inverted else old - low) / (high - low)
        power = unit**2 * (-1 if inverted else 1)
        expected = (power - power.mean()) / power.std() * old.std() + old.mean()
        assert np.allclose(new, expected, atol=1e-5)


def test_contrast_is_about_the_mean_of_each_channel():
    volume = sample()
    changed = Contrast(factor=(2, 2), p=1)(volume, rng())["image"]
    mean = volume["image"].mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(changed, 2 * volume["image"] - mean, atol=1e-5)


def test_noise_is_in_units_of_the_channel():
    image = torch.stack([torch.randn(40, 40, 40), 100 * torch.randn(40, 40, 40)])
    noise = [Noise(std=0.5, p=1)({"image": image}, rng(seed))["image"] - image for seed in range(20)]
    strengths = torch.stack([n.std(dim=(1, 2, 3)) for n in noise]) / image.std(dim=(1, 2, 3))
    assert torch.allclose(strengths[:, 0], strengths[:, 1], rtol=0.05)
    assert strengths.max() < 0.52
    assert strengths.min() < 0.1


def test_in_order_leaves_out_what_is_switched_off():
    seen = []
    chain = InOrder({"b": lambda s, _: seen.append("b") or s, "a": None, "c": lambda s, _: seen.append("c") or s})
    chain(sample(), rng())
    assert seen == ["b", "c"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (lambda: Flip(axes=(3,)), "C87"),
        (lambda: Flip(p=2), "C88"),
        (lambda: Gamma(p_inverted=-1), "C88"),
        (lambda: Gamma(power=(0, 1)), "C89"),
        (lambda: Contrast(factor=(2, 1)), "C89"),
        (lambda: Noise(p=-0.1), "C88"),
    ],
)
def test_impossible_values_are_named(wrong, code):
    with pytest.raises(ConfigError) as error:
        wrong()
    assert error.value.code == code
