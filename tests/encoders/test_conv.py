import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from visionkit.encoders.conv import ConvEncoder
from visionkit.errors import ConfigError


@pytest.mark.parametrize(
    ("steps", "strides"),
    [((1, 2, 2), (1, 2, 4)), ((2, 2, 3), (2, 4, 12)), (((1, 1, 1), (1, 2, 2), (2, 2, 2)), (1, (1, 2, 2), (2, 4, 4)))],
)
def test_maps_have_the_size_over_the_stride(steps, strides) -> None:
    encoder = ConvEncoder((3, 4, 5), steps)
    assert encoder.strides == strides
    coarsest = strides[-1] if isinstance(strides[-1], tuple) else (strides[-1],) * 3
    for cells in ((1, 1, 1), (2, 1, 3)):
        size = [cell * step for cell, step in zip(cells, coarsest, strict=True)]
        for features, channels, stride in zip(encoder(torch.randn(1, 1, *size)), (3, 4, 5), strides, strict=True):
            stride = stride if isinstance(stride, tuple) else (stride,) * 3
            assert features.shape == (1, channels, *(a // b for a, b in zip(size, stride, strict=True)))


@pytest.mark.parametrize("dims", [2, 3])
def test_same_as_written_out(dims) -> None:
    encoder = ConvEncoder((3, 4), (1, 2), spatial_dims=dims, in_chans=2, mean=0.5, std=0.25)
    image = torch.rand(2, 2, *[6] * dims)
    conv = {2: F.conv2d, 3: F.conv3d}[dims]

    def layer(x, block, step):
        return F.leaky_relu(F.instance_norm(conv(x, block[0].weight, stride=step, padding=1)), 0.01)

    first = layer(layer((image - 0.5) / 0.25, encoder.stages[0][0], 1), encoder.stages[0][1], 1)
    second = layer(layer(first, encoder.stages[1][0], 2), encoder.stages[1][1], 1)
    for found, expected in zip(encoder(image), (first, second), strict=True):
        torch.testing.assert_close(found, expected)


def test_every_parameter_matters_and_bf16_works() -> None:
    encoder = ConvEncoder((3, 4), (1, 2), norm=nn.BatchNorm3d)
    with torch.autocast("cpu", torch.bfloat16):
        maps = encoder(torch.randn(2, 1, 4, 4, 6))
    sum((features.float() ** 3).sum() for features in maps).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())


@pytest.mark.parametrize(("channels", "steps"), [((3,), (1, 2)), ((), ()), ((3, 4), (1, 1))])
def test_what_makes_no_stages_is_named(channels, steps) -> None:
    with pytest.raises(ConfigError, match=r"C85.*make no stages"):
        ConvEncoder(channels, steps)


def test_weights_of_a_file(tmp_path) -> None:
    torch.manual_seed(0)
    trained = ConvEncoder((3, 4), (1, 2))
    save_file({f"encoder.{name}": value for name, value in trained.state_dict().items()}, tmp_path / "w.safetensors")
    again = ConvEncoder((3, 4), (1, 2), weights=tmp_path / "w.safetensors")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in trained.state_dict().items())
    with pytest.raises(ConfigError, match="C25"):
        ConvEncoder((3, 5), (1, 2), weights=tmp_path / "w.safetensors")


def test_a_step_for_too_few_axes_is_named() -> None:
    with pytest.raises(ConfigError, match=r"C80.*for 3 axes"):
        ConvEncoder((3, 4), (1, (2, 2)))
