"""Boxes of cells and what is seen in them."""

import pytest
import torch

from visionkit.decoders.cell_boxes import CellBoxes, windows
from visionkit.decoders.cell_views import BoxView, WholeView, shaken
from visionkit.layers.grid_memory import GridMemory, Memory, centres


def memory_of(channels: int = 6, pictures: int = 2) -> Memory:
    torch.manual_seed(0)
    return Memory(torch.randn(pictures, 12, channels), centres(3, 4), torch.ones(pictures, 12, dtype=torch.bool))


def test_places_of_a_grid():
    assert centres(2, 2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_grid_memory_leaves_out_the_padding_and_knows_places():
    torch.manual_seed(0)
    grid = GridMemory(5, 4, 8, width=7).eval()
    valid = torch.zeros(2, 30, 60, dtype=torch.bool)
    valid[0], valid[1, :16, :25] = True, True
    memory = grid(torch.zeros(2, 5, 8, 16), valid)
    assert memory.values.shape == (2, 32, 7)
    assert memory.valid[0].reshape(4, 8).all()
    assert memory.valid[1].reshape(4, 8).nonzero().tolist() == [[r, c] for r in range(2) for c in range(4)]
    apart = (memory.values[0][:, None] - memory.values[0]).abs().sum(-1) + torch.eye(32)
    assert float(apart.min()) > 1e-3  # nothing in the picture, yet no two places are alike


def test_boxes_start_where_the_state_attends():
    head = CellBoxes(4, 6, hidden=8)
    memory = memory_of()
    torch.nn.init.zeros_(head.box.weight)
    torch.nn.init.zeros_(head.box.bias)
    with torch.no_grad():
        head.query.weight.zero_()
        head.query.bias.copy_(1e4 * head.key(memory.values[0, 7]))
        boxes, filled = head(torch.randn(2, 3, 4), memory)
    keys = head.key(memory.values)
    for row in range(2):
        best = int((keys[row] @ keys[0, 7]).argmax())
        torch.testing.assert_close(boxes[row, :, :2], memory.places[best].expand(3, 2), atol=1e-3, rtol=0)
    assert filled.shape == (2, 3)


def test_mixed_precision_keeps_places():
    torch.manual_seed(0)
    head, memory = CellBoxes(4, 6), memory_of()
    queries, features = torch.randn(2, 3, 4), torch.arange(400.0).expand(2, 1, 4, 400)
    with torch.no_grad():
        exact, _ = head(queries, memory)
        with torch.autocast("cpu", torch.bfloat16):
            boxes, _ = head(queries, memory)
    assert boxes.dtype == torch.float32
    torch.testing.assert_close(boxes, exact, atol=0.02, rtol=0)
    box = torch.tensor([[[0.8765, 0.5, 0.0025, 0.25]]]).expand(2, 1, 4)
    seen = windows(features.bfloat16(), box, (1, 1), 0.0).float()
    torch.testing.assert_close(seen.flatten(), torch.full((2,), 0.8765 * 400 - 0.5), atol=1.1, rtol=0)


def test_what_is_padding_is_not_attended_to():
    head, memory = CellBoxes(4, 6), memory_of()
    memory.valid[:, 5:] = False
    queries = torch.randn(2, 3, 4)
    changed = Memory(memory.values.clone(), memory.places, memory.valid)
    changed.values[:, 5:] = 100.0
    torch.testing.assert_close(head(queries, memory), head(queries, changed))
    assert [part.shape for part in head(queries[:, :0], memory)] == [(2, 0, 4), (2, 0)]


def test_a_window_on_whole_cells_is_a_cut():
    features = torch.randn(2, 3, 8, 16)
    boxes = torch.tensor([[[0.5, 0.5, 0.5, 0.5], [0.125, 0.25, 0.25, 0.5]]] * 2)
    seen = windows(features, boxes, (4, 8), margin=0.0)
    torch.testing.assert_close(seen[:, 0].transpose(1, 2).reshape(2, 3, 4, 8), features[:, :, 2:6, 4:12])
    halves = windows(features, boxes, (4, 4), margin=0.0)
    torch.testing.assert_close(halves[:, 1].transpose(1, 2).reshape(2, 3, 4, 4), features[:, :, :4, :4])


def test_the_margin_is_as_wide_as_high_in_pixels():
    ramp = torch.arange(16.0).expand(1, 1, 8, 16)
    box = torch.tensor([[[0.5, 0.5, 0.25, 0.25]]])  # 4 wide, 2 high
    seen = windows(ramp, box, (2, 6), margin=0.5)  # 1 on each side: 6 wide, 4 high
    torch.testing.assert_close(seen.reshape(2, 6)[0], torch.arange(5.0, 11.0))


@pytest.mark.parametrize("kind", [WholeView, BoxView])
def test_views_are_of_the_chosen_cells_in_order(kind):
    view = kind(3, 6).eval()
    memory, features = memory_of(), torch.randn(2, 3, 8, 16)
    boxes = torch.rand(2, 5, 4) * 0.5 + 0.2
    chosen = torch.tensor([[True, False, True, False, False], [False, False, False, False, True]])
    seen, valid = view(features, memory, boxes, chosen)
    assert seen.shape[::2] == (3, view.out_channels)
    assert valid.shape == seen.shape[:2]
    for number, (row, cell) in enumerate(chosen.nonzero().tolist()):
        one = torch.zeros_like(chosen)
        one[row, cell] = True
        torch.testing.assert_close(view(features, memory, boxes, one)[0][0], seen[number])
    assert len(view(features, memory, boxes, torch.zeros_like(chosen))[0]) == 0


def test_errors_of_boxes_are_as_large_as_wanted_in_pixels():
    torch.manual_seed(0)
    boxes = torch.tensor([0.5, 0.5, 0.4, 0.1]).expand(1, 20000, 4)  # of a map of 50 x 100: 40 x 5
    moved = shaken(boxes, 0.1, aspect=0.5)
    pixels = (moved - boxes) * torch.tensor([100, 50, 100, 50])
    torch.testing.assert_close(pixels[0].std(0), torch.full((4,), 0.5), atol=0.02, rtol=0)
    assert float(shaken(boxes, 10.0, 0.5)[..., 2:].min()) > 0


def test_pictures_without_chosen_cells_are_left_out():
    generator = torch.Generator().manual_seed(0)
    features, boxes = torch.randn(3, 4, 6, 9, generator=generator), torch.rand(3, 5, 4, generator=generator)
    view = BoxView(4, 7, size=(2, 3), width=8).eval()
    chosen = torch.zeros(3, 5, dtype=torch.bool)
    assert view(features, None, boxes, chosen)[0].shape == (0, 6, 8)
    chosen[1, 3] = chosen[1, 0] = True
    expected = view.project(windows(features, boxes, (2, 3), view.margin)[chosen]) + view.position
    torch.testing.assert_close(view(features, None, boxes, chosen)[0], expected)


def test_sub_rows_of_a_place_stand_one_below_the_other():
    features = torch.arange(24.0).reshape(1, 1, 6, 4)
    whole, chosen = torch.tensor([[[0.5, 0.5, 1.0, 1.0]]]), torch.ones(1, 1, dtype=torch.bool)
    view = BoxView(1, 7, size=(2, 4), width=3, margin=0.0, sub_rows=3)
    view.project = torch.nn.Identity()
    torch.nn.init.zeros_(view.position)
    view.position.data = view.position.data[:, :1]
    seen, _ = view.eval()(features, None, whole, chosen)
    expected = features[0, 0].reshape(2, 3, 4).transpose(1, 2).reshape(8, 3)
    torch.testing.assert_close(seen[0], expected)


def test_convolutions_see_each_cell_alone():
    torch.manual_seed(0)
    features, boxes = torch.randn(2, 4, 12, 18), torch.rand(2, 3, 4) * 0.4 + 0.3
    view = BoxView(4, 7, size=(2, 5), width=8, sub_rows=2, convs=(6, 5)).eval()
    chosen = torch.tensor([[True, False, True], [False, True, False]])
    seen, _ = view(features, None, boxes, chosen)
    pictures = windows(features, boxes, (4, 5), view.margin)[chosen]
    for one, picture in zip(seen, pictures, strict=True):
        rows = view.convs(picture.reshape(1, 4, 5, 4).permute(0, 3, 1, 2))[0]
        places = [
            torch.cat([rows[:, 2 * row, column], rows[:, 2 * row + 1, column]])
            for row in range(2)
            for column in range(5)
        ]
        torch.testing.assert_close(one, view.project(torch.stack(places)) + view.position)
    seen.sum().backward()
    assert all(value.grad is not None for value in view.parameters())
