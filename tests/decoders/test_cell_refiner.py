"""Boxes that are moved to what is seen there."""

import torch

from visionkit.decoders.cell_refiner import BoxRefiner
from visionkit.losses.tables import box_loss


def drawn(boxes: torch.Tensor, height: int = 32, width: int = 64) -> torch.Tensor:
    """One map for each box: one inside it, zero elsewhere."""
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    centre, half = boxes[:, :2, None, None], boxes[:, 2:, None, None] / 2
    return (((x - centre[:, 0]).abs() < half[:, 0]) & ((y - centre[:, 1]).abs() < half[:, 1])).float()[:, None]


def some(count: int) -> torch.Tensor:
    return torch.cat([0.3 + 0.4 * torch.rand(count, 2), 0.15 + 0.1 * torch.rand(count, 2)], 1)


def test_at_first_nothing_moves():
    boxes = torch.rand(2, 5, 4)
    assert torch.equal(BoxRefiner(3)(torch.rand(2, 3, 8, 16), boxes), boxes)


def test_a_table_without_cells():
    assert BoxRefiner(3)(torch.rand(2, 3, 8, 16), torch.zeros(2, 0, 4)).shape == (2, 0, 4)


def test_map_and_boxes_moved_together_are_corrected_alike():
    torch.manual_seed(0)
    refiner = BoxRefiner(1)
    torch.nn.init.normal_(refiner.correction.weight)
    boxes = torch.tensor([[0.25, 0.25, 0.125, 0.125]])
    moved = boxes + torch.tensor([0.25, 0.5, 0, 0])
    first, second = (refiner(drawn(box), box[None] + torch.tensor([0.03, 0.02, 0, 0])) for box in (boxes, moved))
    assert not torch.allclose(first[0], boxes, atol=0.02)
    torch.testing.assert_close(second - first, (moved - boxes)[None])


def test_it_learns_to_find_edges():
    torch.manual_seed(0)
    refiner = BoxRefiner(1)
    optimizer = torch.optim.Adam(refiner.parameters(), 3e-3)

    def errors() -> tuple[torch.Tensor, torch.Tensor]:
        truth = some(32)
        wrong = truth + 0.04 * torch.randn(32, 4) * torch.tensor([1, 1, 0.5, 0.5])
        better = refiner(drawn(truth), wrong[:, None])[:, 0]
        return box_loss(better, truth), box_loss(wrong, truth)

    for _ in range(200):
        optimizer.zero_grad()
        errors()[0].backward()
        optimizer.step()
    with torch.no_grad():
        after, before = (torch.stack(values).mean() for values in zip(*(errors() for _ in range(4)), strict=True))
    assert after < 0.5 * before


def test_the_gradient_reaches_the_map_and_not_the_boxes_given():
    torch.manual_seed(0)
    refiner = BoxRefiner(2)
    torch.nn.init.normal_(refiner.correction.weight)
    features, boxes = torch.rand(1, 2, 8, 8, requires_grad=True), torch.rand(1, 3, 4, requires_grad=True)
    refiner(features, boxes).sum().backward()
    assert features.grad is not None
    assert features.grad.abs().sum() > 0
    assert boxes.grad is None
