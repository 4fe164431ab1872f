import cv2
import numpy as np
import pytest
import torch

from visionkit.layers.resize import nearest_index, resize_lines


@pytest.mark.parametrize("before", [1, 2, 3, 7, 480])
@pytest.mark.parametrize("after", [1, 2, 5, 7, 361])
def test_the_cell_under_the_centre(before: int, after: int) -> None:
    # The centre (i + 1/2) * before / after in whole numbers, so that no rounding decides.
    assert nearest_index(before, after).tolist() == [(2 * i + 1) * before // (2 * after) for i in range(after)]


def test_the_same_size_and_no_size() -> None:
    assert nearest_index(4, 4).tolist() == [0, 1, 2, 3]
    assert nearest_index(4, 0).tolist() == []


def test_lines_that_shrink_do_not_break() -> None:
    lines = np.zeros((97, 131), np.uint8)
    cv2.polylines(lines, [np.array([[3, 5], [120, 20], [60, 90], [3, 5]])], isClosed=True, color=1)
    small = resize_lines(torch.from_numpy(lines)[None].to(torch.int8), (30, 41))[0]
    assert small.shape == (30, 41)
    assert set(small.unique().tolist()) == {0, 1}
    # One line, and one region within it.
    assert cv2.connectedComponents(small.numpy().astype(np.uint8), connectivity=8)[0] == 2
    assert cv2.connectedComponents((small == 0).numpy().astype(np.uint8), connectivity=4)[0] == 3


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (5, 3), (10, 14), (4, 20)])
def test_lines_take_the_largest_value_that_falls_into_a_cell(size: tuple[int, int]) -> None:
    lines = torch.randint(-1, 2, (2, 5, 7), generator=torch.Generator().manual_seed(0)).to(torch.int8)
    result = resize_lines(lines, size)
    rows, columns = (
        [[(2 * i + 1) * new // (2 * old) == j for i in range(old)] for j in range(new)]
        if new < old
        else [[(2 * j + 1) * old // (2 * new) == i for i in range(old)] for j in range(new)]
        for old, new in zip((5, 7), size, strict=True)
    )
    for y, x in np.ndindex(*size):
        assert torch.equal(result[:, y, x], lines[:, rows[y]][:, :, columns[x]].amax((1, 2)))
