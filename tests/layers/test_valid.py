import pytest
import torch

from visionkit.layers.valid import real_size


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
