import pytest
import torch

from visionkit.layers.padding import pad_to_multiple


@pytest.mark.parametrize("size", [(1, 1), (7, 32), (32, 33), (64, 64), (97, 131)])
def test_repeats_the_border_as_torch_does(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    padded = pad_to_multiple(image, 32)
    height, width = padded.shape[2:]
    assert height % 32 == width % 32 == 0
    assert height == max(64, -(-size[0] // 32) * 32)
    wanted = torch.nn.functional.pad(image, (0, width - size[1], 0, height - size[0]), mode="replicate")
    assert torch.equal(padded, wanted)


def test_volumes_and_sizes_that_fit_already() -> None:
    volume = torch.rand(1, 1, 3, 5, 9)
    assert pad_to_multiple(volume, 4).shape == (1, 1, 8, 8, 12)
    fits = torch.rand(1, 1, 8, 8)
    assert pad_to_multiple(fits, 4) is fits


def test_a_multiple_for_each_axis() -> None:
    assert pad_to_multiple(torch.rand(1, 1, 3, 5, 9), (1, 4, 2)).shape == (1, 1, 3, 8, 10)
    assert pad_to_multiple(torch.rand(1, 1, 1, 1, 1), (2, 4, 8)).shape == (1, 1, 4, 8, 16)
