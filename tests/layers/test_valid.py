import pytest
import torch

from visionkit.layers.strides import per_axis
from visionkit.layers.valid import real_size, valid_cells


@pytest.mark.parametrize("size", [(3,), (2, 5), (5, 1), (2, 3, 4)])
def test_the_part_before_the_padding(size: tuple[int, ...]) -> None:
    valid = torch.zeros([length + 2 for length in size], dtype=torch.bool)
    valid[tuple(slice(length) for length in size)] = True
    assert real_size(valid) == size


def test_holes_do_not_count() -> None:
    valid = torch.zeros(6, 7, dtype=torch.bool)
    valid[3, 0] = valid[0, 4] = True
    assert real_size(valid) == (4, 5)


@pytest.mark.parametrize("shape", [(4, 6), (0, 3)])
def test_where_nothing_is_valid_the_whole_remains(shape: tuple[int, int]) -> None:
    assert real_size(torch.zeros(shape, dtype=torch.bool)) == shape


@pytest.mark.parametrize(("stride", "size"), [(4, (3, 4)), ((2, 4), (5, 4)), ((4, 2), (2, 9))])
def test_cells_with_a_real_pixel(stride, size):
    valid = torch.zeros(3, 9, 13, dtype=torch.bool)
    valid[0, :5, :9], valid[1, :4, :8] = True, True
    high, wide = per_axis(stride, 2)
    found = valid_cells(valid, size, stride)
    for row in range(2):
        expected = [
            [bool(valid[row, y * high : (y + 1) * high, x * wide : (x + 1) * wide].any()) for x in range(size[1])]
            for y in range(size[0])
        ]
        assert found[row].tolist() == expected
    assert found[2].nonzero().tolist() == [[0, 0]]  # a picture without a real pixel


def test_a_batch_of_none():
    assert valid_cells(torch.zeros(0, 9, 13, dtype=torch.bool), (3, 4), 4).shape == (0, 3, 4)


def test_the_layout_of_the_mask_does_not_matter():
    valid = torch.zeros(9, 13, 3, dtype=torch.bool)
    valid[2, 9, 1] = True
    turned = valid.permute(2, 0, 1)
    assert torch.equal(valid_cells(turned, (3, 4), 4), valid_cells(turned.contiguous(), (3, 4), 4))
