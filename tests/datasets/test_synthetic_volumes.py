"""Generated volumes: the same for the same seed, true in millimetres, some of them empty; mistakes."""

import numpy as np
import pytest
import torch

from visionkit.datasets.synthetic_volumes import BODIES, Bodies, draw
from visionkit.errors import ConfigError


def test_a_sample_depends_on_seed_split_and_number_alone() -> None:
    first, again = Bodies("train"), Bodies("train")
    again[3]
    sample = first[5]
    assert torch.equal(sample["image"], again[5]["image"])
    assert torch.equal(sample["mask"], again[5]["mask"])
    for other in (first[6], Bodies("val")[5], Bodies("train", seed=1)[5]):
        assert not torch.equal(other["image"], sample["image"])
    assert sample["image"].shape == (1, 24, 48, 48)
    assert sample["image"].dtype == torch.float32
    assert sample["spacing_mm"].tolist() == [2, 1, 1]


def test_classes_occur_and_some_volumes_are_empty() -> None:
    layout = Bodies("train", length=120, size=(12, 16, 16))
    masks = [layout[index]["mask"] for index in range(120)]
    assert set().union(*(mask.unique().tolist() for mask in masks)) == {0, 1, 2, 3}
    assert 0 < sum(not mask.any() for mask in masks) < 20


@pytest.mark.parametrize("name", BODIES)
def test_bodies_have_the_same_extent_in_millimetres_at_any_spacing(name) -> None:
    volumes = []
    for spacing in ((1.0, 1.0, 1.0), (2.0, 1.0, 0.5)):
        size = [round(40 / mm) for mm in spacing]
        total = 0.0
        for seed in range(30):
            _, mask = draw(np.random.default_rng(seed), size, spacing, [BODIES[name]])
            total += mask.astype(bool).sum() * np.prod(spacing)
        volumes.append(total)
    assert volumes[0] == pytest.approx(volumes[1], rel=0.05)


def test_sizes_between_two() -> None:
    layout = Bodies("train", length=20, size=(3, 8, 8), max_size=(5, 9, 8))
    sizes = {tuple(layout[index]["mask"].shape) for index in range(20)}
    assert len(sizes) > 3
    assert {size[0] for size in sizes} == {3, 4, 5}
    assert {size[2] for size in sizes} == {8}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"channels": 0}, "C50"),
        ({"length": {"val": 3}}, "C52"),
        ({"size": (3, 4)}, "C54"),
        ({"classes": ["cube"]}, "C57"),
        ({"spacing_mm": (1, 1, 0)}, "C59"),
    ],
)
def test_mistakes_are_named(options, code) -> None:
    with pytest.raises(ConfigError) as error:
        Bodies("train", **options)
    assert error.value.code == code
