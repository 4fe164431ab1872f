"""Augmentation of lines: what it does to ink, what it leaves of masks and valid, and where chance comes from."""

import albumentations
import numpy as np
import pytest
import torch

from visionkit.datasets.line_augment import Ink, Paper, Slant, Warp
from visionkit.datasets.transforms import Augment
from visionkit.types import Sample

ALL = {"slant": Slant(p=1), "warp": Warp(p=1), "ink": Ink(p=1), "paper": Paper(p=1)}


def sample(height: int = 24, width: int = 60) -> Sample:
    rng = np.random.default_rng(0)
    image = np.full((1, height, width), 230, dtype=np.uint8)
    image[:, height // 4 : 3 * height // 4, width // 4 : 3 * width // 4 : 6] = 30
    return {
        "key": "a",
        "image": torch.from_numpy(image),
        "valid": torch.ones(height, width, dtype=torch.bool),
        "mask": torch.from_numpy(rng.integers(0, 3, (height, width))),
        "text": "lines",
    }


@pytest.mark.parametrize("name", ALL)
def test_chance_comes_from_the_given_generator_alone(name: str) -> None:
    augment = Augment({name: ALL[name]})
    first, again, other = (augment(sample(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["mask"], again["mask"])
    assert first["image"].shape != other["image"].shape or not torch.equal(first["image"], other["image"])
    assert first["text"] == "lines"


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (24, 60), (8, 4000)])
@pytest.mark.parametrize("name", ALL)
def test_any_size_stays_whole_and_valid(name: str, size: tuple[int, int]) -> None:
    result = Augment({name: ALL[name]})(sample(*size), np.random.default_rng(3))
    assert result["image"].shape[1:] == result["valid"].shape == result["mask"].shape
    assert bool(result["valid"].all())
    assert set(result["mask"].unique().tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("lean", [-0.5, 0.5])
def test_slant_shifts_rows_against_each_other_and_cuts_nothing_off(lean: float) -> None:
    before = sample()
    before["image"][:] = 230
    before["image"][:, :, 0] = before["image"][:, :, -1] = 0  # ink at both ends
    result = Augment([Slant(slant=(lean, lean), p=1)])(before, np.random.default_rng(0))
    more = round(abs(lean) * 23)
    assert result["image"].shape == (1, 24, 60 + more)
    dark = [np.flatnonzero(row < 120) for row in result["image"][0].numpy()]
    assert all(len(columns) >= 1 for columns in dark)
    top, bottom = dark[0][0], dark[-1][0]
    assert (top, bottom) == ((more, 0) if lean > 0 else (0, more)) or abs(top - bottom) >= more - 1
    ink = [float((230 - one["image"].float()).sum()) for one in (before, result)]
    assert ink[1] == pytest.approx(ink[0], rel=0.08)


def test_masks_move_with_the_ink() -> None:
    before = sample()
    before["mask"] = (before["image"][0] < 100).long()
    for name in ("slant", "warp"):
        result = Augment({name: ALL[name]})(before, np.random.default_rng(5))
        ink = result["image"][0] < 130
        agreeing = (ink == (result["mask"] == 1)).float().mean()
        assert agreeing > 0.93


def test_ink_grows_and_shrinks() -> None:
    dark = [
        (255 - Augment([Ink(amount=(amount, amount), p=1)])(sample(), np.random.default_rng(0))["image"].float()).sum()
        for amount in (-0.8, 0.0, 0.8)
    ]
    assert dark[0] < dark[1] < dark[2]


def test_paper_only_darkens_by_its_ranges() -> None:
    white = sample()
    white["image"][:] = 200
    result = Augment([Paper(stains=(0.2, 0.2), grain=(0.0, 0.0), p=1)])(white, np.random.default_rng(0))
    assert result["image"].max() <= 206
    assert 150 < result["image"].min() < 195


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="non negative"):
        Warp(shift=(-1.0, 1.0))
    assert albumentations.Compose([Slant(slant=0.2)]).transforms[0].slant == (-0.2, 0.2)
