"""The filter of frequencies against numpy, and what it promises for other sizes."""

import numpy as np
import pytest
import torch

from visionkit.decoders.diffusion.fourier import FourierFilter
from visionkit.errors import ConfigError


def make(channels: int = 3, grid: tuple[int, int] = (10, 10)) -> FourierFilter:
    torch.manual_seed(0)
    return FourierFilter(channels, grid, deviation=1.0).double()


@pytest.mark.parametrize("grid", [(10, 10), (7, 4)])
def test_on_its_grid_it_is_the_product_of_spectrum_and_weight(grid):
    layer = make(grid=grid)
    image = torch.randn(2, 3, *grid, dtype=torch.float64)
    real, imaginary = layer.weight.detach().numpy().transpose(3, 0, 1, 2)
    spectrum = np.fft.rfft2(image.numpy(), norm="ortho") * (real + 1j * imaginary)
    wanted = np.fft.irfft2(spectrum, s=grid, norm="ortho")
    np.testing.assert_allclose(layer(image).detach().numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("times", [(2, 1), (1, 2), (2, 3), (4, 4)])
def test_a_repeated_map_gives_the_repeated_output(times):
    layer = make()
    image = torch.randn(1, 3, 10, 10, dtype=torch.float64)
    torch.testing.assert_close(layer(image.repeat(1, 1, *times)), layer(image).repeat(1, 1, *times), rtol=0, atol=1e-11)


def test_gains_between_two_frequencies_of_the_grid_are_their_mean():
    weight = make().weight
    gains = make().gains((20, 20))
    torch.testing.assert_close(gains[:, 2::2][:, :4, ::2], weight[:, 1:5])
    torch.testing.assert_close(gains[:, 3, 4], (weight[:, 1, 2] + weight[:, 2, 2]) / 2)
    torch.testing.assert_close(gains[:, 4, 5], (weight[:, 2, 2] + weight[:, 2, 3]) / 2)
    torch.testing.assert_close(gains[:, 9, 0], (weight[:, 4, 0] + weight[:, 5, 0]) / 2)  # up to the highest frequency
    torch.testing.assert_close(gains[:, 19, 0], (weight[:, 9, 0] + weight[:, 0, 0]) / 2)  # from -1 to 0


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 9), (7, 3), (13, 10), (10, 21), (49, 30)])
def test_other_sizes(size):
    layer = make()
    image = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    output = layer(image)
    assert output.shape == image.shape
    output.square().sum().backward()
    assert torch.isfinite(output).all()
    assert torch.isfinite(layer.weight.grad).all()
    gains, weight = layer.gains(size).detach(), layer.weight.detach()
    assert gains.shape == (3, size[0], size[1] // 2 + 1, 2)
    assert (gains[:, 0, 0] == weight[:, 0, 0]).all()
    assert gains.min() >= weight.min()
    assert gains.max() <= weight.max()


def test_half_precision_is_computed_in_single():
    layer, image = make().float(), torch.randn(1, 3, 10, 10)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(image.bfloat16())
    torch.testing.assert_close(output, layer(image.bfloat16().float()))


@pytest.mark.parametrize("grid", [(10, 5), (0, 10), (10, 0)])
def test_no_grid(grid):
    with pytest.raises(ConfigError) as caught:
        FourierFilter(3, grid)
    assert caught.value.code == "C155"
