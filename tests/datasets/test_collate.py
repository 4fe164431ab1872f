"""Batches: padding, strings, and samples that do not go together."""

import pytest
import torch

from visionkit.datasets.collate import collate
from visionkit.errors import DataError


def sample(height, width, channels=3, **more):
    return {
        "key": f"{height}x{width}",
        "image": torch.randint(1, 256, (channels, height, width), dtype=torch.uint8),
        "mask": torch.randint(0, 5, (height, width)),
        **more,
    }


def test_padding_is_right_and_below():
    samples = [sample(4, 7), sample(6, 3), sample(1, 1)]
    batch = collate(samples)
    assert batch["key"] == ["4x7", "6x3", "1x1"]
    assert batch["image"].shape == (3, 3, 6, 7)
    assert batch["image"].dtype == torch.uint8
    assert batch["mask"].dtype == torch.int64
    assert batch["valid"].dtype == torch.bool
    for index, one in enumerate(samples):
        height, width = one["mask"].shape
        expected = torch.zeros(6, 7, dtype=torch.bool)
        expected[:height, :width] = True
        assert torch.equal(batch["valid"][index], expected)
        assert torch.equal(batch["image"][index, :, :height, :width], one["image"])
        assert torch.equal(batch["mask"][index, :height, :width], one["mask"])
        assert (batch["image"][index][:, ~expected] == 0).all()
        assert (batch["mask"][index][~expected] == -1).all()


def test_annotators_of_different_number_are_filled_as_unknown():
    one, three = (torch.ones(count, *size, dtype=torch.int8) for count, size in ((1, (4, 7)), (3, (6, 3))))
    batch = collate([sample(4, 7, edges=one), sample(6, 3, edges=three)])
    assert batch["edges"].shape == (2, 3, 6, 7)
    assert batch["edges"].dtype == torch.int8
    assert torch.equal(batch["edges"][0, :1, :4], one)
    assert (batch["edges"][0, :, 4:] == -1).all()
    assert (batch["edges"][0, 1:] == -1).all()
    assert torch.equal(batch["edges"][1, :, :, :3], three)
    assert (batch["edges"][1, :, :, 3:] == -1).all()


def test_valid_of_a_sample_is_kept_and_padded():
    valid = torch.ones(4, 4, dtype=torch.bool)
    valid[0] = False
    batch = collate([sample(4, 4, valid=valid), sample(5, 5, valid=torch.ones(5, 5, dtype=torch.bool))])
    assert torch.equal(batch["valid"][0, :4, :4], valid)
    assert batch["valid"].sum() == 12 + 25


def test_valid_may_be_missing_in_some():
    batch = collate([sample(2, 2), sample(2, 2, valid=torch.zeros(2, 2, dtype=torch.bool))])
    assert batch["valid"].sum(dim=(1, 2)).tolist() == [4, 0]


def test_views_become_contiguous_and_volumes_are_batched():
    view = torch.zeros(5, 6, 3, dtype=torch.uint8).permute(2, 0, 1)
    assert collate([{"key": "a", "image": view}])["image"].is_contiguous()
    batch = collate([{"image": torch.ones(1, 3, 4, 5)}, {"image": torch.ones(1, 2, 6, 5)}])
    assert batch["image"].shape == (2, 1, 3, 6, 5)
    assert batch["valid"].sum(dim=(1, 2, 3)).tolist() == [60, 60]


def test_samples_that_do_not_go_together():
    without = sample(4, 4, path="b.png")
    del without["mask"]
    with pytest.raises(DataError) as caught:
        collate([sample(4, 4, path="a.png"), without])
    assert (caught.value.code, caught.value.place) == ("D31", "b.png")
    with pytest.raises(DataError, match="1 channels"):
        collate([sample(4, 4), sample(4, 4, channels=1)])


def test_no_samples():
    with pytest.raises(DataError, match="D32"):
        collate([])


def test_lines_of_text_go_on_as_paper_does() -> None:
    wide, low = torch.randint(256, (1, 4, 6)), torch.randint(256, (1, 3, 2))
    batch = collate([{"key": "a", "image": wide, "text": "x"}, {"key": "b", "image": low, "text": ""}])
    assert torch.equal(batch["image"][0], wide)
    assert torch.equal(batch["image"][1, :, :3, :2], low)
    assert (batch["image"][1, 0, :3, 2:] == low[0, :, -1:]).all()
    assert (batch["image"][1, 0, 3, :2] == low[0, -1]).all()
    assert batch["valid"][1].sum() == 6


def test_lines_of_different_widths_come_in_few_shapes() -> None:
    lines = [{"key": "a", "image": torch.ones(1, 4, width), "text": "x"} for width in (9, 13)]
    plain, stepped = collate(lines), collate(lines, 8)
    assert stepped["image"].shape == (2, 1, 4, 16)
    assert torch.equal(stepped["image"][..., :13], plain["image"])
    assert stepped["valid"][:, 0].sum(1).tolist() == [9, 13]
    assert stepped["image"].eq(1).all()  # paper
    assert collate(lines[:1], 8)["image"].shape == (1, 1, 4, 9)  # nothing is padded without need
    pictures = [{"key": "a", "image": torch.ones(3, 4, width)} for width in (9, 13)]
    assert collate(pictures, 8)["image"].shape == (2, 3, 4, 13)
