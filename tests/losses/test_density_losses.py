"""Losses of density maps against their formulas; nobody, one person and padding."""

import pytest
import torch

from visionkit.errors import ConfigError
from visionkit.losses.bayesian import BayesianLoss, expected_counts, inclusion
from visionkit.losses.density import Attention, LocalCounts, SquaredDensity
from visionkit.losses.density_targets import Crowds, FixedKernel

LOSSES = [SquaredDensity(), Attention(), LocalCounts(), BayesianLoss(), BayesianLoss(background=None)]
LOSSES += [BayesianLoss(background_px=2048)]


def crowds(points, sizes=((16, 20), (9, 11)), stride=(2, 2), grid=(8, 10)):
    return Crowds(points, list(sizes), stride, grid, torch.device("cpu"))


@pytest.fixture
def maps():
    return torch.randn(2, 2, 8, 10, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def people():
    return crowds([torch.tensor([[3.0, 4.0], [17.5, 2.0], [9.0, 9.0]]), torch.tensor([[5.0, 5.0]])])


def test_sums_are_over_real_cells_and_means_over_pictures(maps, people):
    target, near = people.density(FixedKernel()), people.near(FixedKernel(), 0.001)
    real = [(slice(0, 8), slice(0, 10)), (slice(0, 5), slice(0, 6))]
    squared = sum(((maps[i, 0][real[i]] - target[i][real[i]]) ** 2).sum() for i in range(2)) / 2
    torch.testing.assert_close(SquaredDensity()(maps, people), squared)
    probability = 1 / (1 + torch.exp(-maps[:, 1]))
    entropy = -(near * probability.log() + (1 - near) * (1 - probability).log())
    torch.testing.assert_close(Attention()(maps, people), sum(entropy[i][real[i]].sum() for i in range(2)) / 2)
    whole = sum((maps[i, 0][real[i]].sum() - target[i].sum()).abs() for i in range(2)) / 2
    torch.testing.assert_close(LocalCounts(sides=(16,))(maps, people), whole)
    single = sum((maps[i, 0][real[i]] - target[i][real[i]]).abs().sum() for i in range(2)) / 2
    torch.testing.assert_close(LocalCounts(sides=(1, 16))(maps, people), (single + whole) / 2)


def test_the_true_density_costs_nothing(people):
    maps = people.density(FixedKernel())[:, None]
    assert SquaredDensity()(maps, people) == 0
    assert LocalCounts()(maps, people) == 0


def test_expected_counts_are_the_posterior_written_out():
    density, points = torch.rand(8, 10, dtype=torch.float64), torch.rand(5, 2, dtype=torch.float64) * 16
    counts = expected_counts(density, points, (2, 2), 3.0, 12.0)
    want = torch.zeros(6, dtype=torch.float64)
    for row in range(8):
        for column in range(10):
            middle = torch.tensor([2 * column + 1, 2 * row + 1], dtype=torch.float64)
            squares = ((points - middle) ** 2).sum(1)
            squares = torch.cat([squares, (12.0 - squares.min().sqrt()).square()[None]])
            likely = torch.exp(-squares / 18)
            want += density[row, column] * likely / likely.sum()
    torch.testing.assert_close(counts, want)
    torch.testing.assert_close(counts.sum(), density.sum())


def test_counts_do_not_depend_on_how_many_cells_are_held(monkeypatch):
    density, points = torch.rand(8, 10), torch.rand(5, 2) * 16
    whole = expected_counts(density, points, (2, 2), 3.0, 12.0)
    monkeypatch.setattr("visionkit.losses.bayesian._AT_ONCE", 100)
    torch.testing.assert_close(expected_counts(density, points, (2, 2), 3.0, 12.0), whole)


def test_inclusion_is_the_share_of_the_square_that_lies_inside():
    points = torch.tensor([[0.0, 0.0], [10.0, 0.0], [10.0, 8.0], [0.0, 8.0]])
    side = (10 + 8 + 164**0.5) / 3
    torch.testing.assert_close(inclusion(points, (8, 10)), torch.full((4,), 0.25))
    middle = torch.tensor([[2.0, 4.0]])  # alone: the largest side
    assert inclusion(middle, (8, 300)).item() == pytest.approx((2 + 64) * 8 / 128**2)
    inner = torch.cat([points + 20, points[:1] + 40])
    torch.testing.assert_close(inclusion(inner, (100, 100)), torch.ones(5))
    shifted = torch.tensor([[2.0, 20.0], [12.0, 20.0], [12.0, 28.0], [2.0, 28.0]])
    assert inclusion(shifted, (60, 60))[0].item() == pytest.approx((2 + side / 2) / side)


def test_bayesian_loss_without_points_is_the_whole_density(maps):
    empty = crowds([torch.zeros(0, 2), torch.zeros(0, 2)])
    want = (maps[0, 0].sum().abs() + maps[1, 0, :5, :6].sum().abs()) / 2
    torch.testing.assert_close(BayesianLoss()(maps, empty), want)


@pytest.mark.parametrize(("options", "away"), [({"background_px": 40.0}, 40.0), ({"background": 0.5}, 8.0)])
def test_the_background_is_as_far_away_as_was_said(options, away):
    points, sigma = torch.tensor([[5.0, 6.0], [9.0, 9.0]]), 2.0
    maps = torch.rand(1, 1, 8, 10, generator=torch.Generator().manual_seed(1))
    counts = torch.zeros(3)
    for row in range(8):
        for column in range(10):
            squares = ((points - torch.tensor([2.0 * column + 1, 2.0 * row + 1])) ** 2).sum(1)
            squares = torch.cat([squares, (away - squares.min().sqrt()).square()[None]])
            counts += maps[0, 0, row, column] * (-squares / (2 * sigma**2)).softmax(0)
    shares = inclusion(points, (16, 20))
    found = BayesianLoss(sigma_px=sigma, **options)(maps, crowds([points], [(16, 20)]))
    torch.testing.assert_close(found, (shares - counts[:2]).abs().sum() + counts[2])


def test_bayesian_loss_is_nothing_for_a_density_on_the_points():
    points = torch.tensor([[31.0, 31.0], [71.0, 71.0]])
    one = crowds([points], [(100, 100)], grid=(50, 50))
    maps = torch.zeros(1, 1, 50, 50)
    maps[0, 0, 15, 15] = maps[0, 0, 35, 35] = 1
    assert BayesianLoss()(maps, one).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize(
    ("points", "size", "grid"),
    [
        (torch.zeros(0, 2), (16, 20), (8, 10)),
        (torch.tensor([[20.0, 16.0]]), (16, 20), (8, 10)),
        (torch.tensor([[0.5, 0.5]]), (1, 1), (2, 2)),
        (torch.rand(30, 2) * torch.tensor([20.0, 1.0]), (1, 20), (2, 10)),
        (torch.ones(9, 2), (16, 20), (8, 10)),
    ],
    ids=["nobody", "one in a corner", "one pixel", "one row", "all in one place"],
)
def test_losses_and_gradients_are_finite(loss, points, size, grid):
    maps = torch.randn(1, 2, *grid).requires_grad_()
    value = loss(maps, crowds([points], [size], grid=grid))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(maps.grad).all()


def test_sides_that_are_none():
    with pytest.raises(ConfigError, match="C136"):
        LocalCounts(sides=[0])
