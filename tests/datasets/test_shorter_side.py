"""Pictures within bounds of their shorter side."""

import numpy as np
import pytest
import torch

from visionkit.datasets.shorter_side import ShorterSide
from visionkit.datasets.text_size import Sizing
from visionkit.errors import ConfigError

RNG = np.random.default_rng(0)


def sample(height, width):
    return {
        "key": "a",
        "image": torch.from_numpy(RNG.integers(0, 256, (3, height, width), dtype=np.uint8)),
        "valid": torch.ones(height, width, dtype=torch.bool),
        "mask": torch.arange(height)[:, None].expand(height, width),
        "points": torch.tensor([[0.0, 0.0], [width, height], [width / 4, height / 2]]),
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((12, 16), (6, 8)),
        ((16, 12), (8, 6)),
        ((12, 33), (6, 16)),
        ((6, 90), (6, 90)),
        ((5, 7), (5, 7)),
        ((2, 3), (4, 6)),
        ((1, 1), (4, 4)),
    ],
)
def test_proportions_are_kept_and_targets_move_along(old, new):
    change, given = ShorterSide(least=4, most=6), sample(*old)
    result = change(given, RNG)
    assert isinstance(change, Sizing)
    assert change.resized(old) == new
    assert tuple(result["image"].shape) == (3, *new)
    assert result["mask"].shape == result["valid"].shape == new
    height, width = new
    expected = torch.tensor([[0.0, 0.0], [width, height], [width / 4, height / 2]])
    torch.testing.assert_close(result["points"], expected)
    assert (result is given) == (old == new)


def test_each_bound_alone():
    for size in ((3, 9), (300, 900)):
        assert ShorterSide().resized(size) == size
    assert ShorterSide(least=30).resized((3, 9)) == (30, 90)
    assert ShorterSide(least=30).resized((300, 900)) == (300, 900)
    assert ShorterSide(most=30).resized((3, 9)) == (3, 9)
    assert ShorterSide(most=30).resized((300, 900)) == (30, 90)


def test_a_strip_does_not_ask_for_all_memory():
    assert ShorterSide(least=512).resized((1, 4096)) == (2, 8192)
    assert ShorterSide(least=512).resized((20000, 3)) == (20000, 3)
    assert ShorterSide(most=1).resized((2, 3)) == (1, 2)


@pytest.mark.parametrize("wrong", [{"least": 0}, {"most": -1}, {"most": 1.5}, {"least": True}, {"least": 9, "most": 8}])
def test_bounds_that_are_none(wrong):
    with pytest.raises(ConfigError, match="C187"):
        ShorterSide(**wrong)
