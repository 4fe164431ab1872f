"""One polarity for all lines of text."""

import cv2
import numpy as np
import pytest
import torch

from visionkit.datasets.text_ink import DarkInk
from visionkit.types import Sample

RNG = np.random.default_rng(0)


def written(ground: int, ink: int, channels: int = 1) -> Sample:
    picture = np.full((32, 120), ground, np.uint8)
    cv2.putText(picture, "word", (4, 24), cv2.FONT_HERSHEY_SIMPLEX, 1.0, ink, 3)
    return {"key": "a", "image": torch.from_numpy(picture)[None].repeat(channels, 1, 1)}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("ground", "ink"), [(255, 0), (140, 90), (200, 180)])
def test_either_polarity_gives_dark_ink(ground: int, ink: int, channels: int) -> None:
    dark = written(ground, ink, channels)
    bright = {"key": "a", "image": 255 - dark["image"]}
    assert torch.equal(DarkInk()(dark, RNG)["image"], dark["image"])
    assert torch.equal(DarkInk()(bright, RNG)["image"], dark["image"])


def test_what_else_a_sample_holds_stays_and_the_given_picture_too() -> None:
    sample = {**written(0, 255), "text": "word"}
    before = sample["image"].clone()
    assert DarkInk()(sample, RNG)["text"] == "word"
    assert torch.equal(sample["image"], before)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2)], ids=str)
@pytest.mark.parametrize("value", [0, 255])
def test_one_tone_and_the_smallest_pictures(size: tuple[int, int], value: int) -> None:
    image = torch.full((1, *size), value, dtype=torch.uint8)
    assert torch.equal(DarkInk()({"key": "a", "image": image}, RNG)["image"], image)
    image[0, 0, 0] = 128
    assert DarkInk()({"key": "a", "image": image}, RNG)["image"].shape == image.shape
