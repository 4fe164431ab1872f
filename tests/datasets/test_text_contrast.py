"""Lines of any contrast on one scale."""

import numpy as np
import pytest
import torch

from visionkit.datasets.text_contrast import PaperToWhite
from visionkit.errors import ConfigError
from visionkit.types import Sample

RNG = np.random.default_rng(0)


def written(paper: int, ink: int, channels: int = 1, size: tuple[int, int] = (32, 120)) -> Sample:
    """A tenth of the columns is ink."""
    image = torch.full((channels, *size), paper, dtype=torch.uint8)
    image[..., :: size[1] // 12] = ink
    return {"key": "a", "image": image}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (150, 90), (90, 150), (20, 200), (200, 170)])
def test_paper_becomes_white_and_ink_black(paper: int, ink: int, channels: int) -> None:
    stretched = PaperToWhite()(written(paper, ink, channels), RNG)["image"]
    assert torch.equal(stretched, written(255, 0, channels)["image"])


def test_tones_between_keep_their_share() -> None:
    sample = written(200, 100)
    sample["image"][0, :, 1] = 150
    assert PaperToWhite()(sample, RNG)["image"][0, 0, 1] == round(255 * (150 - 100) / (200 - 100))


def test_a_few_extreme_pixels_are_not_the_ink() -> None:
    sample = written(180, 120)
    sample["image"][0, 0, 1], sample["image"][0, 0, 2] = 0, 255
    stretched = PaperToWhite()(sample, RNG)["image"][0]
    assert torch.equal(stretched[1:], written(255, 0)["image"][0, 1:])
    assert stretched[0, 1:3].tolist() == [0, 255]


def test_a_bright_margin_is_not_the_ink() -> None:
    sample = written(120, 40)
    sample["image"][..., 1:3] = 255
    stretched = PaperToWhite()(sample, RNG)["image"][0]
    expected = written(255, 0)["image"][0]
    expected[:, 1:3] = 255
    assert torch.equal(stretched, expected)


def test_twice_is_once_and_the_given_picture_stays() -> None:
    sample = {**written(150, 90), "text": "word"}
    before = sample["image"].clone()
    once = PaperToWhite()(sample, RNG)
    assert once["text"] == "word"
    assert torch.equal(PaperToWhite()(once, RNG)["image"], once["image"])
    assert torch.equal(sample["image"], before)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)], ids=str)
@pytest.mark.parametrize("value", [0, 120, 255])
def test_noise_and_single_tones_stay(size: tuple[int, int], value: int) -> None:
    image = torch.full((1, *size), value, dtype=torch.uint8)
    assert torch.equal(PaperToWhite()({"key": "a", "image": image}, RNG)["image"], image)
    noise = (150 + 8 * np.random.default_rng(0).standard_normal((1, 32, 300))).round().clip(0, 255).astype(np.uint8)
    for faint in (written(140, 130), {"key": "a", "image": torch.from_numpy(noise)}):
        assert torch.equal(PaperToWhite()(faint, RNG)["image"], faint["image"])


@pytest.mark.parametrize("options", [{"share": -1.0}, {"share": 50.0}, {"least": 0.0}])
def test_values_that_are_none_are_named(options: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        PaperToWhite(**options)
    assert caught.value.code == "C187"
