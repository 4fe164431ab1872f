import pytest
import torch
from torch.nn import functional as F

from visionkit.layers.pyramid import SimplePyramid


@pytest.mark.parametrize(
    ("stride", "strides", "channels"),
    [(16, (4, 8, 16, 32), (6, 12, 24, 24)), (14, (7, 14, 28), (12, 24, 24)), (7, (7, 14), (24, 24))],
)
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_sizes_and_channels(stride: int, strides: tuple, channels: tuple, spatial_dims: int):
    pyramid = SimplePyramid(24, stride, spatial_dims)
    assert (pyramid.strides, pyramid.channels) == (strides, channels)
    space = (4, 6, 2)[:spatial_dims]
    maps = pyramid([torch.rand(2, 24, *space)])
    assert [x.shape for x in maps] == [
        (2, c, *(n * stride // s for n in space)) for c, s in zip(channels, strides, strict=True)
    ]


def test_level_of_equal_stride_is_the_normalised_map():
    pyramid, features = SimplePyramid(24, 16), torch.randn(1, 24, 2, 4) * 100
    maps = pyramid([features])
    mean, variance = features.mean(1, keepdim=True), features.var(1, keepdim=True, correction=0)
    normalised = (features - mean) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(maps[2], normalised)
    torch.testing.assert_close(maps[3], F.max_pool2d(normalised, 2))


def test_each_level_has_its_own_map():
    pyramid = SimplePyramid(8, 16)
    maps = [torch.randn(1, 8, 2, 2) for _ in range(4)]
    together = pyramid(maps)
    for level in range(4):
        torch.testing.assert_close(together[level], pyramid([maps[level]])[level])


def test_finer_levels_do_not_mix_cells():
    pyramid, features = SimplePyramid(8, 16), torch.randn(1, 8, 2, 2)
    changed = features.clone()
    changed[:, :, 0, 0] += torch.randn(8)
    difference = (pyramid([features])[0] - pyramid([changed])[0]).abs().sum(1)[0]
    assert (difference[:4, :4] > 0).all()
    assert difference[4:].sum() == difference[:, 4:].sum() == 0


@pytest.mark.parametrize(
    ("stride", "strides"),
    [((2, 4, 4), ((1, 2, 2), (2, 4, 4), (4, 8, 8))), ((1, 4, 4), ((1, 4, 4), (2, 8, 8))), ((4, 4, 4), (1, 2, 4, 8))],
)
def test_one_number_for_each_axis(stride: tuple, strides: tuple):
    pyramid = SimplePyramid(8, stride, 3)
    assert pyramid.strides == strides
    for found, level in zip(pyramid([torch.rand(1, 8, 2, 4, 6)]), strides, strict=True):
        axes = level if isinstance(level, tuple) else (level,) * 3
        assert found.shape[2:] == tuple(n * s // t for n, s, t in zip((2, 4, 6), stride, axes, strict=True))
