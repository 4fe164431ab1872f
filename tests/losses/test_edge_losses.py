"""Losses of edge detection against the formulas of the papers in float64, and where there is nothing."""

import pytest
import torch
from torch.nn import functional as F

from visionkit.losses.edges import BalancedBCE, EdgeDice, balanced_bce, edge_dice

LOSSES = [balanced_bce, edge_dice]


def pair(seed=0, shape=(2, 7, 9)):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits, torch.randint(-1, 2, shape, generator=generator).double()


@pytest.mark.parametrize("negative", [1.0, 1.1])
def test_balanced_as_hed_and_rcf_write_it(negative):
    logits, target = pair()
    edge, ground = target == 1, target == 0
    beta = ground.sum() / (edge.sum() + ground.sum())
    p = logits.sigmoid()
    total = -beta * p[edge].log().sum() - negative * (1 - beta) * (1 - p[ground]).log().sum()
    weights = beta * edge.sum() + negative * (1 - beta) * ground.sum()
    torch.testing.assert_close(balanced_bce(logits, target, negative), total / weights)
    torch.testing.assert_close(BalancedBCE(negative=negative)(logits, target), total / weights)


def test_balanced_is_the_mean_of_both_classes():
    logits, target = pair(1)
    parts = [F.softplus(-logits[target == 1]).mean(), F.softplus(logits[target == 0]).mean()]
    torch.testing.assert_close(balanced_bce(logits, target), sum(parts) / 2)


def test_soft_targets_count_by_their_value():
    logits = torch.tensor([[[0.3, -1.2]]], dtype=torch.float64)
    target = torch.tensor([[[1.0, 0.25]]], dtype=torch.float64)
    # The second pixel is a quarter of an edge and three quarters of ground.
    edge = (F.softplus(-logits[0, 0, 0]) + F.softplus(-logits[0, 0, 1]) / 4) / 1.25
    torch.testing.assert_close(balanced_bce(logits, target), (edge + F.softplus(logits[0, 0, 1])) / 2)


def test_dice_by_hand():
    logits = torch.tensor([[[0.0, 100.0, -100.0, 5.0]]], dtype=torch.float64)
    target = torch.tensor([[[1.0, 1.0, 0.0, -1.0]]], dtype=torch.float64)
    expected = torch.tensor(1 - (2 * 1.5 + 1) / (1.25 + 2 + 1), dtype=torch.float64)
    torch.testing.assert_close(edge_dice(logits, target), expected)
    torch.testing.assert_close(EdgeDice()(logits, target), expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_ignored_has_no_gradient(loss):
    logits, target = pair(2)
    logits.requires_grad_()
    loss(logits, target).backward()
    assert (logits.grad[target == -1] == 0).all()
    assert (logits.grad[target == 1] < 0).all()
    assert (logits.grad[target == 0] > 0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("shape", [(2, 5, 6), (1, 1, 9), (1, 1, 1)])
def test_finite_where_only_one_thing_is_true(loss, value, shape):
    logits = torch.full(shape, 80.0, requires_grad=True)
    result = loss(logits, torch.full(shape, value))
    result.backward()
    assert torch.isfinite(result)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_is_summed_in_full(loss):
    logits = torch.full((1, 300, 300), -2.0, dtype=torch.bfloat16)
    target = torch.zeros(1, 300, 300)
    target[0, 5] = 1
    assert loss(logits, target).dtype == torch.float32
    torch.testing.assert_close(loss(logits, target), loss(logits.double(), target.double()).float())
