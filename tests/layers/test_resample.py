import pytest
import torch

from visionkit.errors import ConfigError
from visionkit.layers.resample import Resample, nearest_stride


def test_by_hand():
    fine = torch.arange(16.0).view(1, 1, 4, 4)
    resample = Resample([1], [4], [2, 4, 8, 16])
    twice, same, half, quarter = resample([fine])
    assert same is fine
    assert half.tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert quarter.tolist() == [[[[7.5]]]]
    # Bilinear by hand: the first points lie a quarter before and a quarter after the centre of the first cell.
    assert twice[0, 0, 0, :3].tolist() == [0.0, 0.25, 0.75]
    assert twice[0, 0, :3, 0].tolist() == [0.0, 1.0, 3.0]
    assert resample.channels == (1, 1, 1, 1)
    assert resample.strides == (2, 4, 8, 16)


def test_source_is_nearest_in_ratio_and_of_two_the_finer():
    assert [nearest_stride([2, 4, 16], wanted) for wanted in (1, 2, 3, 8, 12, 64)] == [0, 0, 1, 1, 2, 2]
    resample = Resample([10, 20, 30], [2, 4, 16], [1, 8, 16, 32])
    assert resample.channels == (10, 20, 30, 30)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_constant_stays_constant_and_sizes_are_exact(spatial_dims: int):
    strides, wanted, cells = (7, 14, 28), (1, 4, 7, 14, 28, 56), 3
    features = [torch.full((1, 2, *[28 * cells // s] * spatial_dims), float(s)) for s in strides]
    resample = Resample([2, 2, 2], strides, wanted, spatial_dims)
    for stride, source, found in zip(wanted, (7, 7, 7, 14, 28, 28), resample(features), strict=True):
        assert found.shape[2:] == (-(-28 * cells // stride),) * spatial_dims
        torch.testing.assert_close(found, torch.full_like(found, float(source)))


def test_strides_must_increase():
    for wanted in ([], [4, 4], [8, 4]):
        with pytest.raises(ConfigError, match="C30"):
            Resample([8], [4], wanted)
    with pytest.raises(ConfigError, match="C80"):
        Resample([8], [4], [0, 4])


def test_one_number_for_each_axis():
    volume = torch.arange(16.0).view(1, 1, 2, 2, 4)
    resample = Resample([1], [(1, 2, 2)], [1, (1, 2, 4), 4], spatial_dims=3)
    fine, averaged, coarse = resample([volume])
    assert resample.strides == (1, (1, 2, 4), 4)
    assert fine.shape[2:] == (2, 4, 8)
    assert averaged.flatten().tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5]
    assert coarse.shape[2:] == (1, 1, 2)
    assert coarse.flatten().tolist() == [6 + 2 + 0.5, 6 + 2 + 2.5]  # the last of two slices stands for three
