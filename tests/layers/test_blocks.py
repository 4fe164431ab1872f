import pytest
import torch
from torch import nn

from visionkit.layers.blocks import ChannelNorm, ConvNormAct, InstanceNorm


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 4), (5, 2, 3)])
def test_size_is_divided_by_the_stride(spatial_dims: int, kernel: int, stride: int, dilation: int):
    block = ConvNormAct(2, 4, kernel, stride=stride, dilation=dilation, spatial_dims=spatial_dims)
    space = (5, 6, 7)[:spatial_dims]
    assert block(torch.rand(2, 2, *space)).shape == (2, 4, *(-(-n // stride) for n in space))


def test_order_is_convolution_normalisation_activation():
    block, x = ConvNormAct(2, 3), torch.randn(4, 2, 5, 5)
    inner = torch.nn.functional.conv2d(x, block[0].weight, padding=1)
    deviation = inner.var((0, 2, 3), correction=0, keepdim=True).add(1e-5).sqrt()
    expected = ((inner - inner.mean((0, 2, 3), keepdim=True)) / deviation).clamp(min=0)
    torch.testing.assert_close(block(x), expected)


def test_other_normalisation_and_activation():
    block = ConvNormAct(2, 4, norm=lambda channels: nn.GroupNorm(2, channels), act=nn.Identity)
    assert isinstance(block[1], nn.GroupNorm)
    assert (block(torch.randn(1, 2, 4, 4)) < 0).any()


@pytest.mark.parametrize("space", [(3,), (3, 4), (3, 4, 5)])
def test_channel_norm(space: tuple[int, ...]):
    norm, x = ChannelNorm(6), torch.randn(2, 6, *space) * 7 + 3
    nn.init.normal_(norm.weight)
    found = norm(x)
    place = (1, *(n - 1 for n in space))
    vector = x[(place[0], slice(None), *place[1:])].double()
    expected = (vector - vector.mean()) / (vector.var(correction=0) + 1e-5).sqrt() * norm.weight.double()
    torch.testing.assert_close(found[(place[0], slice(None), *place[1:])].double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("space", [(5, 6), (4, 5, 6)])
def test_instance_norm_is_torchs_own_and_takes_a_single_cell(space):
    norm = InstanceNorm(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    features = torch.randn(2, 3, *space)
    expected = nn.functional.instance_norm(features, weight=norm.weight, bias=norm.bias)
    torch.testing.assert_close(norm(features), expected)
    single = torch.randn(1, 3, *[1] * len(space))
    torch.testing.assert_close(
        norm.train()(single).flatten(), norm.bias, atol=1e-3, rtol=0
    )  # rounding by 1 / sqrt(eps)
