import numpy as np
import pytest
import torch

from visionkit.tasks.text_panels import _WRONG, MISSING, RIGHT, page, pieces


def line(width: int, height: int = 32) -> dict:
    return {"key": "a", "image": torch.full((1, height, width), 200, dtype=torch.uint8)}


def colors_of(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(color) for color in picture.reshape(-1, 3)}


def test_errors_are_in_colour() -> None:
    read, written = pieces("hxllo", "hello!")
    assert [piece.text for piece in read] == ["h", "x", "llo"]
    assert [piece.color for piece in read] == [RIGHT, _WRONG, RIGHT]
    assert written[-1] == ("!", MISSING)
    right, wrong = (page({**line(300), "text": "hello"}, found) for found in ("hello", "hallo"))
    assert _WRONG not in colors_of(right)
    assert _WRONG in colors_of(wrong)


@pytest.mark.parametrize("text", ["", "a" * 300, "\u05d0\u05d1\u05d2", "\U0001f600 \u6f22\u5b57", "e\u0301"])
@pytest.mark.parametrize("width", [1, 4000])
@pytest.mark.parametrize("right_to_left", [False, True])
def test_any_script_and_width_is_legible(text: str, width: int, right_to_left: bool) -> None:
    picture = page({**line(width), "text": text}, text[::-1], right_to_left)
    assert picture.shape[1] <= 1700
    assert picture.shape[0] > 32


def test_what_is_not_known_is_not_shown() -> None:
    heights = [
        page(line(100), None).shape[0],
        page(line(100), "a").shape[0],
        page({**line(100), "text": "a"}, "a").shape[0],
    ]
    assert heights[0] < heights[1] < heights[2]


def test_padding_is_cut_off() -> None:
    valid = torch.zeros(32, 900, dtype=torch.bool)
    valid[:, :700] = True
    assert (page({**line(900), "valid": valid}, "a") == page(line(700), "a")).all()
