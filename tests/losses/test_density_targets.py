"""Density maps: the mass is the number of points, and inside the borders they are scipy's filter."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from visionkit.errors import ConfigError
from visionkit.losses.density_targets import AdaptiveKernel, Crowds, FixedKernel, density_map, neighbour_distance


def scattered(rng, size, count):
    """Random points, some of them on the borders and in the corners."""
    height, width = size
    points = rng.random((count, 2)) * [width, height]
    on = rng.integers(0, 9, count)
    points[on == 1, 0], points[on == 2, 0], points[on == 3, 1], points[on == 4, 1] = 0, width, 0, height
    points[on == 5], points[on == 6] = [width, height], [0, 0]
    return torch.from_numpy(points.astype(np.float32))


def test_the_sum_is_the_number_of_points_in_a_thousand_random_sets():
    rng = np.random.default_rng(0)
    for number in range(1000):
        size = tuple(rng.integers(1, 90, 2).tolist())
        points = scattered(rng, size, int(rng.integers(0, 200)))
        kernel = FixedKernel(float(rng.uniform(0, 12))) if number % 2 else AdaptiveKernel()
        density = density_map(points, size, kernel)
        assert density.shape == size
        assert (density >= 0).all()
        assert abs(density.double().sum().item() - len(points)) < 1e-4


@pytest.mark.parametrize("sigma", [1.0, 4.0, 15.0])
def test_inside_the_borders_it_is_scipys_filter(sigma):
    rng, reach = np.random.default_rng(1), int(4 * sigma + 0.5)
    size = (2 * reach + 40, 2 * reach + 60)
    points = torch.from_numpy(rng.random((50, 2)) * [60, 40] + reach).float()
    dots = np.zeros(size)
    np.add.at(dots, (points[:, 1].long().numpy(), points[:, 0].long().numpy()), 1)
    want = gaussian_filter(dots, sigma, mode="constant")
    np.testing.assert_allclose(density_map(points, size, FixedKernel(sigma)).numpy(), want, atol=1e-6 * want.max())


def test_a_border_gives_what_it_cuts_off_to_the_rest():
    density = density_map(torch.tensor([[0.0, 7.5]]), (16, 16), FixedKernel(2.0)).numpy()
    bell = np.exp(-0.5 * (np.arange(-8, 9) / 2.0) ** 2)
    want = np.outer(bell[1:], bell[8:])[:, :9]
    np.testing.assert_allclose(density[:16, :9], want / want.sum(), atol=1e-7)


def test_adaptive_deviations_follow_the_neighbours():
    points = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 10.0], [10.0, 0.0], [100.0, 0.0]])
    want = [np.sort(np.linalg.norm(points - point, axis=1))[1:4].mean() for point in points]
    np.testing.assert_allclose(neighbour_distance(points, 3), want)
    np.testing.assert_allclose(AdaptiveKernel(0.3)(points, (20, 40)), 0.3 * np.array(want))
    np.testing.assert_allclose(AdaptiveKernel(0.3, largest_px=2.0)(points, (20, 40)).max(), 2.0)
    np.testing.assert_allclose(AdaptiveKernel()(points[:2], (20, 40)), [1.5, 1.5])
    assert AdaptiveKernel()(points[:1], (20, 40)).tolist() == [60 / 8]
    assert AdaptiveKernel(sigma_px=3.0)(points[:1], (20, 40)).tolist() == [3.0]
    twins = density_map(torch.tensor([[4.0, 4.0], [4.0, 4.0]]), (8, 8), AdaptiveKernel())
    assert twins[4, 4] == 2


def test_no_deviation_is_a_dot_and_a_negative_one_is_refused():
    density = density_map(torch.tensor([[2.7, 1.2]]), (4, 5), FixedKernel(0.0))
    assert density[1, 2] == density.sum() == 1
    for wrong in (lambda: FixedKernel(-1.0), lambda: AdaptiveKernel(neighbours=0), lambda: AdaptiveKernel(beta=-0.3)):
        with pytest.raises(ConfigError, match="C136"):
            wrong()


def batch(*sizes, points):
    valid = torch.zeros(len(sizes), max(h for h, _ in sizes), max(w for _, w in sizes), dtype=torch.bool)
    for row, (height, width) in zip(valid, sizes, strict=True):
        row[:height, :width] = True
    return {"valid": valid, "points": points, "image": torch.zeros(len(sizes), 3, *valid.shape[1:])}


def test_crowds_put_each_picture_on_the_decoders_grid():
    points = [torch.tensor([[1.0, 1.0], [21.9, 13.0], [25.0, 3.0]]), torch.tensor([[5.0, 5.0], [11.0, 3.0]])]
    crowds = Crowds.of(batch((13, 22), (6, 9), points=points), 4, torch.zeros(2, 1, 4, 6))
    density = crowds.density(FixedKernel(1.0))
    torch.testing.assert_close(density.sum((1, 2)), torch.tensor([2.0, 1.0]))  # one of each lies outside
    full = density_map(points[0][:2], (13, 22), FixedKernel(1.0))
    torch.testing.assert_close(density[0, 1, 2], full[4:8, 8:12].sum())
    torch.testing.assert_close(density[0, 3, 5], full[12:, 20:].sum())
    assert crowds.real()[1].tolist() == [[row < 2 and column < 3 for column in range(6)] for row in range(4)]
    near = crowds.near(FixedKernel(1.0), 0.01)
    torch.testing.assert_close(near[0, 3, 5], (full[12:, 20:] > 0.01).float().mean())


def test_nobody_anywhere():
    crowds = Crowds.of(batch((1, 7), points=[torch.zeros(0, 2)]), 4, torch.zeros(1, 1, 2, 2))
    assert crowds.density(AdaptiveKernel()).sum() == 0
    assert crowds.real().sum() == 2


def test_losses_of_a_step_share_the_maps_of_a_kernel():
    calls = []

    def kernel(points, size):
        calls.append(size)
        return np.full(len(points), 2.0)

    points = [torch.tensor([[1.0, 1.0]]), torch.tensor([[5.0, 5.0], [2.0, 3.0]])]
    crowds = Crowds.of(batch((13, 22), (6, 9), points=points), 4, torch.zeros(2, 1, 4, 6))
    first, near = crowds.density(kernel), crowds.near(kernel, 0.01)
    assert calls == [(13, 22), (6, 9)]
    assert torch.equal(crowds.density(kernel), first)
    again = Crowds.of(batch((13, 22), (6, 9), points=points), 4, torch.zeros(2, 1, 4, 6))
    assert torch.equal(again.near(FixedKernel(2.0), 0.01), near)
