"""Decoders of density: unpooling, and what is joined where; conf/published holds their published sizes."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from visionkit.decoders.can import CAN
from visionkit.decoders.dual_path import DualPath, SinglePath
from visionkit.decoders.msfanet import EnlargedScalePyramid, ScalePyramid
from visionkit.decoders.segnet import BranchedPools, Pools, Unpooling
from visionkit.decoders.sfanet import Fusion
from visionkit.errors import ConfigError

CHANNELS, STRIDES = (3, 4, 5, 6), (2, 4, 8, 16)


def maps(height=48, width=64, channels=CHANNELS, strides=STRIDES):
    random = torch.Generator().manual_seed(0)
    return [
        torch.rand(2, c, -(-height // s), -(-width // s), generator=random)
        for c, s in zip(channels, strides, strict=True)
    ]


@pytest.mark.parametrize("size", [(6, 8), (7, 5), (1, 3)])
def test_values_are_put_back_where_they_were(size):
    x = torch.rand(2, 3, *size)
    (pooled,) = Pools((3,), (2,))([x])
    back = pooled.put_back(pooled.values)
    assert back.shape == x.shape
    assert ((back == x) | (back == 0)).all()
    assert (back > 0).sum() == pooled.values.numel()
    if not any(length % 2 for length in size):
        torch.testing.assert_close(back, F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2))


def test_pools_follow_the_strides():
    pools = Pools((3, 4, 5), (2, 8, 16))
    assert pools.strides == (8, 16, 32)
    assert [tuple(pooled.values.shape[2:]) for pooled in pools(maps(64, 96, (3, 4, 5), (2, 8, 16)))] == [
        (8, 12),
        (4, 6),
        (2, 3),
    ]
    with pytest.raises(ConfigError, match="C137"):
        Pools((3, 4), (2, 3))


@pytest.mark.parametrize(
    ("decoder", "stride", "out_channels"),
    [
        (DualPath(CHANNELS, STRIDES, Fusion), 2, 2),
        (DualPath(CHANNELS, STRIDES, lambda channels: Fusion(channels, again=True), neck=ScalePyramid), 2, 2),
        (DualPath(CHANNELS, STRIDES, Unpooling, neck=Pools), 4, 2),
        (DualPath((5,), (4,), Unpooling, neck=Pools), 8, 2),
        (DualPath((5,), (4,), Fusion), 4, 2),
        (SinglePath(CHANNELS, STRIDES, lambda channels: Fusion(channels, again=True), neck=EnlargedScalePyramid), 2, 1),
        (SinglePath(CHANNELS, STRIDES, lambda channels: Unpooling(channels, beside=True), neck=BranchedPools), 4, 1),
        (SinglePath((5,), (4,), lambda channels: Unpooling(channels, beside=True), neck=partial(BranchedPools)), 8, 1),
        (CAN(CHANNELS, STRIDES, width=8, widths=(8, 4)), 8, 1),
    ],
    ids=[
        "sfanet",
        "msfanet",
        "msegnet",
        "msegnet of one map",
        "sfanet of one map",
        "qnrf",
        "segnet qnrf",
        "same of one map",
        "can",
    ],
)
@pytest.mark.parametrize("size", [(48, 64), (32, 48)])
def test_sizes_and_gradients(decoder, stride, out_channels, size):
    single = hasattr(decoder, "maps") and decoder.maps.resample.channels[0] == 5
    out = decoder([torch.rand(2, 5, size[0] // 4, size[1] // 4)] if single else maps(*size))
    assert decoder.stride == stride
    assert out.shape == (2, out_channels, size[0] // stride, size[1] // stride)
    out.square().sum().backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())
    decoder.zero_grad()


def test_attention_masks_the_density():
    torch.manual_seed(0)
    decoder = DualPath(CHANNELS, STRIDES, Fusion).eval()
    given = maps()
    density, attention = decoder.density_path(given), decoder.attention_path(given)
    logits = decoder.heads.attention(attention)
    out = decoder(given)
    torch.testing.assert_close(out[:, 1:], logits)
    torch.testing.assert_close(out[:, :1], decoder.heads.density(density * logits.sigmoid()))


def test_absolute_density():
    torch.manual_seed(0)
    decoder = SinglePath(CHANNELS, STRIDES, Fusion)
    assert (decoder(maps()) >= 0).all()
    positive, decoder.absolute = decoder(maps()), False
    torch.testing.assert_close(decoder(maps()).abs(), positive)
