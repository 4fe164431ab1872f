"""Positions against their formula."""

import math

import pytest
import torch

from visionkit.layers.positions import LearnedPositions, SinusoidalPositions, grid_sinusoids, sinusoids


@pytest.mark.parametrize("channels", [1, 2, 7, 8])
def test_sinusoids_by_the_formula(channels):
    found = sinusoids(torch.tensor([[0, 3], [1, 500]]), channels)
    assert found.shape == (2, 2, channels)
    for value, position in zip(found.flatten(0, 1), (0, 3, 1, 500), strict=True):
        for channel in range(channels):
            angle = position / 10000 ** (channel // 2 * 2 / channels)
            wave = math.cos(angle) if channel % 2 else math.sin(angle)
            assert float(value[channel]) == pytest.approx(wave, abs=1e-4)


@pytest.mark.parametrize(("size", "channels"), [((3, 5), 8), ((2, 3, 4), 13), ((1, 1), 4)])
def test_cells_of_a_grid_are_told_apart_along_each_axis(size, channels):
    grid = grid_sinusoids(size, channels).view(*size, channels)
    share = channels // len(size) // 2 * 2
    for axis, length in enumerate(size):
        part = grid.movedim(axis, 0)[..., axis * share : (axis + 1) * share].reshape(length, -1, share)
        expected = sinusoids(torch.arange(length), share)
        assert torch.equal(part, expected[:, None].expand_as(part))
    assert (grid[..., len(size) * share :] == 0).all()


def test_modules():
    positions = torch.tensor([[0, 1, 2], [5, 6, 7]])
    assert torch.equal(SinusoidalPositions(6)(positions), sinusoids(positions, 6))
    learned = LearnedPositions(6, 8)
    assert torch.equal(learned(positions)[1, 2], learned.table.weight[7])
