"""Losses of tables against sums written out and against torchvision."""

import math

import pytest
import torch
from torchvision.ops import generalized_box_iou_loss

from visionkit.errors import ConfigError
from visionkit.layers.grid_memory import centres
from visionkit.losses.tables import (
    Stages,
    attention_loss,
    box_loss,
    centred,
    corners,
    filled_cross_entropy,
    generalized_iou,
)


def test_attention_counts_where_it_touches_the_box():
    places = centres(2, 4)  # of 0.25 x 0.5
    boxes = torch.tensor([[0.125, 0.25, 0.1, 0.1], [0.75, 0.5, 0.1, 0.2], [0.3, 0.9, 0.0, 0.0]])
    even = torch.full((3, 8), 1 / 8)
    want = -sum(math.log(share / 8 + 1e-6) for share in (1, 4, 1)) / 3
    assert float(attention_loss(even, boxes, places)) == pytest.approx(want)
    aimed = torch.zeros(3, 8)
    aimed[0, 0], aimed[1, 7], aimed[2, 5] = 1, 1, 1
    assert float(attention_loss(aimed, boxes, places)) == pytest.approx(0, abs=1e-5)
    assert math.isfinite(attention_loss(aimed.flip(1), boxes, places))
    assert float(attention_loss(even[:0], boxes[:0], places)) == 0


def some_boxes(count: int) -> torch.Tensor:
    torch.manual_seed(count)
    first = torch.rand(count, 2)
    return torch.cat([first, first + torch.rand(count, 2) + 0.01], 1)


def test_boxes_same_as_torchvision():
    first, second = some_boxes(30), some_boxes(30).flip(0)
    torch.testing.assert_close(1 - generalized_iou(first, second), generalized_box_iou_loss(first, second))
    want = (centred(first) - centred(second)).abs().sum() / 30 + 0.4 * generalized_box_iou_loss(first, second).mean()
    torch.testing.assert_close(box_loss(centred(first), centred(second)), want)


def test_centre_and_corners_are_inverse():
    torch.testing.assert_close(corners(centred(some_boxes(9))), some_boxes(9))
    assert centred(torch.tensor([1.0, 2.0, 5.0, 10.0])).tolist() == [3, 6, 4, 8]


def test_a_perfect_box_costs_nothing_and_a_point_is_finite():
    boxes = centred(some_boxes(4))
    assert float(box_loss(boxes, boxes)) == pytest.approx(0, abs=1e-6)
    points = torch.full((2, 4), 0.5, requires_grad=True)
    box_loss(points * torch.tensor([1, 1, 0, 0]), torch.tensor([[0.2, 0.2, 0.0, 0.0]] * 2)).backward()
    assert torch.isfinite(points.grad).all()


def test_nothing_costs_nothing():
    assert float(box_loss(torch.zeros(0, 4), torch.zeros(0, 4))) == 0
    assert float(filled_cross_entropy(torch.zeros(0), torch.zeros(0, dtype=torch.bool))) == 0


def test_filled_same_as_written_out():
    logits = torch.tensor([0.3, -2.0])
    want = -(math.log(1 / (1 + math.exp(-0.3))) + math.log(1 - 1 / (1 + math.exp(2.0)))) / 2
    assert float(filled_cross_entropy(logits, torch.tensor([True, False]))) == pytest.approx(want, rel=1e-6)


def test_stages_change_at_their_steps_and_go_on_after_a_restart():
    stages = Stages([[0, 1.0], [2, 0.7], [3, 0.5]])
    assert [stages() for _ in range(2)] == [1.0, 1.0]
    again = Stages([[0, 1.0], [2, 0.7], [3, 0.5]])
    again.load_state_dict(stages.state_dict())
    assert again.eval()() == 0.7
    assert again() == 0.7  # an evaluation is no step
    assert [again.train()() for _ in range(3)] == [0.7, 0.5, 0.5]


@pytest.mark.parametrize("shares", [[[1, 0.5]], [[0, 0.0]], [[0, 1.0], [5, 1.5]], []])
def test_what_are_no_stages_is_named(shares):
    with pytest.raises(ConfigError) as caught:
        Stages(shares)
    assert caught.value.code == "C214"
