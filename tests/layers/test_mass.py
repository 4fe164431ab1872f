"""Maps whose sum means something: no size changes it."""

import numpy as np
import pytest
import torch

from visionkit.layers.mass import gathered, resize_mass, spread


@pytest.mark.parametrize("size", [(8, 12), (7, 9), (1, 1), (5, 12)])
def test_spread_keeps_each_cell_inside_the_picture(size):
    cells = torch.rand(2, 1, 3, 4, dtype=torch.float64)
    pixels = spread(cells, 4, size)
    assert pixels.shape == (2, 1, *size)
    for row in range(3):
        for column in range(4):
            part = pixels[..., 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            if part.numel():
                torch.testing.assert_close(part.sum((-2, -1)), cells[..., row, column])
                assert (part == part[..., :1, :1]).all()


def test_spread_by_different_strides():
    cells = torch.rand(1, 1, 2, 3)
    torch.testing.assert_close(spread(cells, (3, 2), (6, 6)).sum(), cells.sum())
    assert torch.equal(spread(cells, 1, (2, 3)), cells)


def test_gathered_sums_what_spread_has_spread():
    cells = torch.rand(1, 1, 3, 4)
    torch.testing.assert_close(gathered(spread(cells, 4, (11, 13)), 4), cells)
    pixels = torch.rand(5, 7)
    by_hand = np.add.reduceat(np.add.reduceat(pixels.numpy(), [0, 3], 0), [0, 3, 6], 1)
    np.testing.assert_allclose(gathered(pixels, 3).numpy(), by_hand, rtol=1e-6)


@pytest.mark.parametrize("size", [(5, 7), (10, 14), (3, 2), (1, 1), (8, 9)])
def test_resizing_keeps_the_sum_and_where_it_lies(size):
    pixels = torch.rand(5, 7, dtype=torch.float64)
    resized = resize_mass(pixels, size)
    assert resized.shape == size
    torch.testing.assert_close(resized.sum(), pixels.sum())
    # The share of the mass above and left of any corner of the new grid, against exact integration of the old pixels.
    filled = torch.nn.functional.pad(pixels.cumsum(0).cumsum(1), (1, 0, 1, 0)).numpy()
    for row in range(size[0] + 1):
        for column in range(size[1] + 1):
            y, x = row * 5 / size[0], column * 7 / size[1]
            along = [np.interp(x, np.arange(8), line) for line in filled]
            want = np.interp(y, np.arange(6), along)
            np.testing.assert_allclose(resized[:row, :column].sum().item(), want, atol=1e-12)


def test_the_same_size_changes_nothing():
    pixels = torch.rand(2, 5, 7)
    torch.testing.assert_close(resize_mass(pixels, (5, 7)), pixels, rtol=0, atol=0)


def test_autocast_takes_nothing_away():
    pixels = torch.rand(1, 1, 96, 128)
    with torch.autocast("cpu", torch.bfloat16):
        resized = resize_mass(pixels, (101, 133))
    assert resized.dtype == torch.float32
    torch.testing.assert_close(resized.double().sum(), pixels.double().sum(), rtol=1e-6, atol=0)
