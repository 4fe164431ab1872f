import numpy as np
import pytest
import torch

from visionkit.tasks.attention_panels import _LABEL_PX, _MOST, looks


def line(width: int) -> dict:
    return {"key": "a", "image": torch.full((1, 32, width), 255, dtype=torch.uint8)}


def test_each_strip_is_orange_where_its_token_looked() -> None:
    attention = np.zeros((3, 100), np.float32)
    attention[0, :20], attention[1, 40:60], attention[2] = 0.05, 0.05, 0.01
    picture = looks(line(100), ["a", " ", "c"], attention).astype(int)
    strips = [picture[18 + 30 * row + 10, : picture.shape[1] - _LABEL_PX] for row in range(3)]
    orange = [strip[:, 2] < 200 for strip in strips]
    columns = np.arange(len(strips[0])) * 100 // len(strips[0])
    assert np.array_equal(orange[0], columns < 20)
    assert np.array_equal(orange[1], (columns >= 40) & (columns < 60))
    assert orange[2].all()


@pytest.mark.parametrize("width", [1, 4000])
@pytest.mark.parametrize("count", [1, 90])
def test_any_size_is_drawn_and_long_texts_are_cut(width: int, count: int) -> None:
    attention = np.full((count, width), 1 / width, np.float32)
    picture = looks(line(width), ["\u0628"] * count, attention)
    assert picture.shape[1] <= 1600 + _LABEL_PX
    assert len(picture) == 18 + min(count, _MOST) * 30 + 6


def test_padding_is_cut_off() -> None:
    valid = torch.zeros(32, 100, dtype=torch.bool)
    valid[:, :50] = True
    attention = np.random.default_rng(0).random((2, 100))
    padded = looks({**line(100), "valid": valid}, ["a", "b"], attention)
    assert np.array_equal(padded, looks(line(50), ["a", "b"], attention[:, :50]))
