"""Side outputs against the sum written out, and over any encoder's strides."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from visionkit.decoders.sides import Sides
from visionkit.decoders.unet import UNet
from visionkit.errors import ConfigError


def features_of(channels, strides, cells=(2, 3)):
    generator = torch.Generator().manual_seed(0)
    sizes = [[n * strides[-1] // s for n in cells] for s in strides]
    return [torch.randn(2, c, *size, generator=generator) for c, size in zip(channels, sizes, strict=True)]


def test_same_as_written_out():
    channels, strides = (3, 5), (2, 8)
    decoder = Sides(channels, strides)
    fine, coarse = features_of(channels, strides)
    sides = [
        torch.einsum("c,bchw->bhw", conv.weight[0, :, 0, 0], x)[:, None] + conv.bias
        for conv, x in zip(decoder.sides, (fine, coarse), strict=True)
    ]
    # A picture of 8 x 12 cells out of one of 2 x 3, as OpenCV and torch place the centres.
    enlarged = F.interpolate(sides[1], scale_factor=4, mode="bilinear")
    outputs = decoder.deep([fine, coarse])
    torch.testing.assert_close(outputs[0], (sides[0] + enlarged) / 2)
    torch.testing.assert_close(outputs[1:], sides)
    assert torch.equal(decoder([fine, coarse]), outputs[0])


@pytest.mark.parametrize("width", [None, 21])
@pytest.mark.parametrize("path", [None, partial(UNet, widths=(6, 4)), partial(UNet, widths=(6, 4), stride=1)])
@pytest.mark.parametrize("strides", [(2, 4, 8), (4, 8), (16,)])
def test_a_map_for_each_stride_and_a_gradient_for_each_parameter(width, path, strides):
    channels = tuple(range(5, 5 + len(strides)))
    decoder = Sides(channels, strides, width=width, path=path)
    outputs = decoder.deep(features_of(channels, strides))
    assert decoder.deep_strides[:2] == (decoder.stride, decoder.stride)
    assert decoder.deep_channels == (1,) * len(outputs)
    for output, stride in zip(outputs, decoder.deep_strides, strict=True):
        assert output.shape == (2, 1, 2 * strides[-1] // stride, 3 * strides[-1] // stride)
    sum(output.square().sum() for output in outputs).backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())


def test_resampled_strides():
    decoder = Sides((3, 5), (4, 16), at=(2, 4, 8))
    assert [tuple(x.shape[2:]) for x in decoder.deep(features_of((3, 5), (4, 16)))] == [
        (16, 24),
        (16, 24),
        (8, 12),
        (4, 6),
    ]


def test_volumes_are_refused():
    with pytest.raises(ConfigError) as caught:
        Sides((3,), (4,), spatial_dims=3)
    assert caught.value.code == "C83"
