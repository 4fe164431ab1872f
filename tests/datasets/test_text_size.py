"""Sizes of text, and groups of samples of like sizes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from text_trees import line_picture

from visionkit.datasets.text_lines import Line, TextLines
from visionkit.datasets.text_rules import TextRules
from visionkit.datasets.text_size import ToHeight, ToRatio, size_groups
from visionkit.datasets.transforms import Resize
from visionkit.errors import ConfigError
from visionkit.types import Sample

RNG = np.random.default_rng(0)


def sample(height: int, width: int) -> Sample:
    return {
        "image": torch.from_numpy(RNG.integers(0, 256, (1, height, width), dtype=np.uint8)),
        "valid": torch.ones(height, width, dtype=torch.bool),
        "text": "a",
    }


@pytest.mark.parametrize(("old", "new"), [((64, 100), (32, 50)), ((1, 1), (32, 32)), ((20, 4000), (32, 2048))])
def test_one_height_and_the_same_proportions_up_to_a_width(old: tuple[int, int], new: tuple[int, int]) -> None:
    to_height = ToHeight(32, max_width=2048)
    result = to_height(sample(*old), RNG)
    assert tuple(result["image"].shape[1:]) == tuple(result["valid"].shape) == to_height.resized(old) == new
    assert result["text"] == "a"
    assert bool(result["valid"].all())


def test_a_narrow_line_keeps_at_least_a_pixel() -> None:
    assert ToHeight(8).resized((1000, 3)) == (8, 1)


def test_ratios_as_published() -> None:
    sizes = {(10, 14): (64, 64), (10, 16): (48, 96), (10, 26): (40, 112), (10, 36): (32, 128), (10, 300): (32, 384)}
    for old, new in sizes.items():
        assert ToRatio(12).resized(old) == new
        assert tuple(ToRatio(12)(sample(*old), RNG)["image"].shape[1:]) == new
    assert ToRatio(4).resized((10, 300)) == (32, 128)
    assert ToRatio().resized((300, 10)) == (64, 64)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, 2**20])
def test_sizes_that_are_none(wrong: int) -> None:
    for make in (ToHeight, ToRatio, lambda value: ToHeight(32, value)):
        with pytest.raises(ConfigError, match="C187"):
            make(wrong)


def test_groups_hold_what_becomes_equally_large(tmp_path: Path) -> None:
    sizes = [(64, 128), (32, 60), (16, 40), (32, 200), (64, 390)]
    lines = [Line(str(index), tmp_path / f"{index}.png", "x") for index in range(len(sizes))]
    for line, (height, width) in zip(lines, sizes, strict=True):
        line_picture(line.image, width, height)
    dataset = TextLines({"train": [*lines, Line("gone", tmp_path / "gone.png", "x")]}, "train", TextRules())
    groups = size_groups(dataset, [ToHeight(32)], step_px=64).tolist()
    # Widths 64, 60, 80, 200, 195, unknown.
    assert groups == [1, 1, 2, 3, 3, 0]
    assert len(set(size_groups(dataset, [ToHeight(32), Resize((8, 8))], step_px=64)[:5].tolist())) == 1


def test_a_dataset_that_knows_no_sizes() -> None:
    with pytest.raises(ConfigError, match="C188"):
        size_groups([], [], 8)  # type: ignore[arg-type]
