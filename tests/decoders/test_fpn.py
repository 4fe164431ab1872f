import pytest
import torch
from torch.nn import functional as F

from visionkit.decoders.fpn import FPN


def features_of(channels, strides, cells=(2, 3), batch=2):
    generator = torch.Generator().manual_seed(0)
    sizes = [[n * strides[-1] // s for n in cells] for s in strides]
    return [torch.randn(batch, c, *size, generator=generator) for c, size in zip(channels, sizes, strict=True)]


@pytest.mark.parametrize(
    ("strides", "stride"),
    [((2, 4, 8, 16, 32), 4), ((4, 8, 16, 32), 4), ((1, 2), 2), ((7, 14, 28), 7), ((8,), 8), ((1, 3, 9), 9)],
)
@pytest.mark.parametrize("cells", [(2, 3), (2, 2, 3)])
def test_stride_is_the_finest_that_is_wanted(strides, stride, cells):
    channels = tuple(range(5, 5 + len(strides)))
    decoder = FPN(channels, strides, spatial_dims=len(cells), width=4)
    assert (decoder.stride, decoder.out_channels) == (stride, 4)
    out = decoder(features_of(channels, strides, cells))
    assert out.shape == (2, 4, *(n * strides[-1] // stride for n in cells))


def test_same_as_written_out():
    channels, strides = (3, 5, 7), (4, 8, 16)
    decoder = FPN(channels, strides, width=6).eval()
    maps = features_of(channels, strides)
    total = torch.zeros(2, 6, 8, 12)
    for lateral, features, scale in zip(decoder.laterals, maps, (1, 2, 4), strict=True):
        projected = torch.einsum("oi,bihw->bohw", lateral.weight[:, :, 0, 0], features)
        projected = projected + lateral.bias[:, None, None]
        total = total + projected.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    conv, norm, _ = decoder.refine
    expected = F.relu(F.conv2d(total, conv.weight, padding=1) / (1 + norm.eps) ** 0.5)
    torch.testing.assert_close(decoder(maps), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("strides", [(2, 4, 8, 16, 32), (8,), (7, 14, 28), (1, 3)])
def test_any_strides_can_be_brought_to_those_wanted(strides):
    channels = tuple(range(5, 5 + len(strides)))
    maps = features_of(channels, strides, cells=(96, 64) if strides[-1] == 3 else (12, 8))
    decoder = FPN(channels, strides, width=4, at=[4, 8, 16, 32])
    assert decoder.stride == 4
    assert len(decoder.laterals) == 4
    rows, columns = (length * strides[0] for length in maps[0].shape[2:])
    assert decoder(maps).shape == (2, 4, rows // 4, columns // 4)


def test_the_strides_that_are_there_change_nothing():
    channels, strides = (3, 4, 5), (4, 8, 16)
    plain, same = FPN(channels, strides).eval(), FPN(channels, strides, at=strides).eval()
    same.load_state_dict(plain.state_dict())
    maps = features_of(channels, strides)
    assert torch.equal(plain(maps), same(maps))


def test_every_map_and_parameter_matters():
    channels, strides = (3, 4, 5, 6), (4, 8, 16, 32)
    decoder = FPN(channels, strides)
    maps = [x.requires_grad_() for x in features_of(channels, strides)]
    out = decoder(maps)
    (out * torch.rand_like(out)).sum().backward()
    assert all(x.grad.abs().sum() > 0 for x in maps)
    # Batch normalisation takes away what the biases of the laterals add inside; only the zeros at the border keep it.
    assert all(p.grad.abs().sum() > 0 for p in decoder.parameters())
