"""Patches of volumes: against plain slicing, an analytic field, rotated bodies; padding, places, mistakes."""

import numpy as np
import pytest
import torch

from visionkit.datasets.volume_patch import Patch, rotation
from visionkit.errors import ConfigError
from visionkit.types import IGNORE_INDEX


def sample(shape=(12, 16, 20), spacing=(1.0, 1.0, 1.0), classes=4, seed=0):
    """A volume whose image is one more than its mask, so that both must stay together."""
    rng = np.random.default_rng(seed)
    mask = torch.from_numpy(rng.integers(0, classes, shape))
    return {
        "key": "a",
        "image": (mask + 1).float()[None],
        "mask": mask,
        "valid": torch.ones(shape, dtype=torch.bool),
        "spacing_mm": torch.tensor(spacing, dtype=torch.float64),
    }


def rng(seed=0):
    return np.random.default_rng(seed)


def field(shape, spacing):
    """Millimetres from the middle of the volume, ``3 d h w``."""
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


@pytest.mark.parametrize("seed", range(5))
def test_a_plain_patch_is_a_slice_of_the_volume(seed):
    volume = sample()
    volume["image"] = torch.arange(12 * 16 * 20.0).reshape(1, 12, 16, 20)
    patch = Patch((5, 6, 7), p_rotation=0, p_scale=0)(volume, rng(seed))
    d, h, w = np.unravel_index(int(patch["image"][0, 0, 0, 0]), (12, 16, 20))
    cut = np.s_[d : d + 5, h : h + 6, w : w + 7]
    assert torch.equal(patch["image"][0], volume["image"][0][cut])
    assert torch.equal(patch["mask"], volume["mask"][cut])
    assert patch["valid"].all()


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1), (1, 16, 3), (30, 2, 9)])
@pytest.mark.parametrize("turned", [0, 1])
def test_outside_a_small_volume_nothing_is_known(shape, turned):
    patch = Patch((8, 9, 10), rotation_deg=20, p_rotation=turned, p_scale=0)(sample(shape), rng())
    assert patch["image"].shape == (1, 8, 9, 10)
    assert torch.equal(patch["mask"] == IGNORE_INDEX, ~patch["valid"])
    assert (patch["image"][0][~patch["valid"]] == 0).float().mean() > 0.5  # linear reading reaches half a voxel out
    assert patch["valid"].any()
    assert not patch["valid"].all()
    if not turned:
        assert torch.equal(patch["image"][0], (patch["mask"] + 1).float())
        assert patch["valid"].sum() == np.prod(np.minimum(shape, (8, 9, 10)))


def test_unknown_voxels_stay_unknown_and_valid():
    volume = sample()
    volume["mask"][:, 5:] = IGNORE_INDEX
    patch = Patch((12, 16, 20), p_rotation=0, p_scale=0)(volume, rng())
    assert torch.equal(patch["mask"], volume["mask"])
    assert patch["valid"].all()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 1.5, 1.5)])
def test_turning_keeps_lengths_in_millimetres(spacing):
    shape = (9, 30, 30)
    place = field(shape, spacing)
    volume = sample(shape, spacing)
    volume["image"] = torch.from_numpy(place).float()
    patch = Patch(shape, foreground=0, rotation_deg=(25, 0, 0), p_rotation=1, p_scale=0)(volume, rng(3))
    inside = patch["valid"].numpy()
    inside &= np.isclose(np.linalg.norm(patch["image"].numpy(), axis=0), np.linalg.norm(place, axis=0), atol=1e-4)
    # Where linear reading does not meet the border the field is exact, so distances from the middle are kept.
    assert inside.mean() > 0.7
    turned = patch["image"].numpy()[:, inside]
    angle = np.arctan2(turned[2], turned[1]) - np.arctan2(place[2][inside], place[1][inside])
    angle = np.angle(np.exp(1j * angle))[np.linalg.norm(place[1:, inside], axis=0) > 3]
    assert np.ptp(angle) < 1e-3
    assert 0.01 < abs(angle.mean()) < np.radians(25)


def test_scaling_enlarges_bodies():
    shape = (40, 40, 40)
    ball = np.linalg.norm(field(shape, (1, 1, 1)), axis=0) < 8
    volume = sample(shape)
    volume["mask"] = torch.from_numpy(ball).long()
    patch = Patch(shape, foreground=0, scale=(1.5, 1.5), p_rotation=0, p_scale=1)(volume, rng())
    assert int((patch["mask"] == 1).sum()) == pytest.approx(ball.sum() * 1.5**3, rel=0.05)


def test_slices_that_are_far_apart_are_scaled_within_themselves():
    depth = torch.arange(8.0)[:, None, None].expand(8, 20, 20)
    given = {"key": "a", "image": depth[None].clone(), "spacing_mm": torch.tensor([10.0, 1.5, 1.5])}
    options = {"rotation_deg": [30, 0, 0], "scale": (0.5, 0.5), "p_rotation": 1.0, "p_scale": 1.0}
    patch = Patch((8, 6, 6), scale_axes=(False, True, True), **options)(given, np.random.default_rng(0))
    assert torch.allclose(patch["image"][0, :, 2:4, 2:4], depth[:, 2:4, 2:4], atol=1e-5)
    assert patch["valid"][:, 2:4, 2:4].all()
    whole = Patch((8, 6, 6), **options)(given, np.random.default_rng(0))
    assert not whole["valid"][:, 2:4, 2:4].all()


def test_rotations_are_rotations():
    matrix = rotation(np.array([0.3, -0.8, 1.2]))
    assert np.allclose(matrix @ matrix.T, np.eye(3))
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert np.allclose(rotation(np.array([np.pi / 2, 0, 0])) @ [0, 1, 0], [0, 0, 1])


def test_foreground_patches_hold_each_class_as_often():
    volume = sample((40, 40, 40))
    volume["mask"] = torch.zeros(40, 40, 40, dtype=torch.long)
    volume["mask"][2, 3, 4], volume["mask"][30:, 30:, 30:] = 1, 2
    draw = Patch((4, 4, 4), foreground=1, p_rotation=0, p_scale=0)
    patches = [draw(volume, rng(seed))["mask"] for seed in range(200)]
    held = [sum(bool((patch == label).any()) for patch in patches) for label in (1, 2)]
    assert sum(held) == 200
    assert 70 < held[0] < 130


def test_an_empty_mask_gives_any_patch():
    volume = sample()
    volume["mask"].zero_()
    assert Patch((4, 4, 4), foreground=1)(volume, rng())["mask"].eq(0).any()


def test_without_mask_valid_and_spacing():
    patch = Patch((4, 4, 4), rotation_deg=10, p_rotation=1)({"image": torch.ones(2, 9, 9, 9)}, rng())
    assert set(patch) == {"image", "valid"}
    assert patch["image"].shape == (2, 4, 4, 4)


def test_the_same_generator_gives_the_same_patch():
    cut = Patch((8, 8, 8), rotation_deg=20, scale=(0.7, 1.4), p_rotation=1, p_scale=1)
    first, again, other = (cut(sample(), rng(seed))["image"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"size": (4, 4)}, "C54"),
        ({"size": (4, 0, 4)}, "C54"),
        ({"foreground": 1.5}, "C86"),
        ({"rotation_deg": (1, 2)}, "C86"),
        ({"scale": (0, 1)}, "C86"),
        ({"scale": (1.2, 1)}, "C86"),
    ],
)
def test_impossible_values_are_named(options, code):
    with pytest.raises(ConfigError) as error:
        Patch(**{"size": (4, 4, 4), **options})
    assert error.value.code == code
