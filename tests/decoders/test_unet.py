import pytest
import torch
from torch import nn
from torch.nn import functional as F

from visionkit.decoders.unet import UNet


def features_of(channels, strides, cells=(2, 3), batch=2):
    generator = torch.Generator().manual_seed(0)
    sizes = [[n * strides[-1] // s for n in cells] for s in strides]
    return [torch.randn(batch, c, *size, generator=generator) for c, size in zip(channels, sizes, strict=True)]


@pytest.mark.parametrize(
    ("strides", "stride", "out_channels"),
    [
        ((2, 4, 8, 16, 32), 2, 32),
        ((4, 8, 16, 32), 4, 64),
        ((1, 2, 4, 8, 16, 32), 1, 16),
        ((7, 14, 28), 7, 128),
        ((4, 16), 4, 256),
        ((8,), 8, 5),
        ((1, 2, 4, 8, 16, 32, 64), 1, 16),
    ],
)
@pytest.mark.parametrize("cells", [(2, 3), (2, 2, 3)])
def test_ends_at_the_finest_stride(strides, stride, out_channels, cells):
    channels = tuple(range(5, 5 + len(strides)))
    if len(cells) == 3:
        strides, stride = strides[-2:], strides[-2:][0]
        channels = channels[-len(strides) :]
        out_channels = 256 if len(strides) == 2 else 5
    decoder = UNet(channels, strides, spatial_dims=len(cells))
    assert (decoder.stride, decoder.out_channels) == (stride, out_channels)
    out = decoder(features_of(channels, strides, cells))
    assert out.shape == (2, out_channels, *(n * strides[-1] // stride for n in cells))


@pytest.mark.parametrize(("wanted", "got"), [(1, 1), (2, 2), (4, 4), (8, 8), (3, 4)])
def test_chosen_stride(wanted: int, got: int):
    channels, strides = (3, 4, 5), (4, 8, 16)
    decoder = UNet(channels, strides, widths=(6,), stride=wanted)
    assert decoder.stride == got
    out = decoder(features_of(channels, strides))
    assert out.shape == (2, 6, 32 // got, 48 // got)


def test_same_as_written_out():
    channels, strides = (3, 5), (2, 4)
    decoder = UNet(channels, strides, widths=(4, 2), stride=1).eval()
    fine, coarse = features_of(channels, strides)

    def block(x, steps):
        for conv, norm, _ in steps:
            x = F.conv2d(x, conv.weight, padding=1)
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            x = F.relu((x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None])
        return x

    for module in decoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.weight.data, module.bias.data):
                nn.init.normal_(values)
    enlarged = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    x = block(torch.cat([enlarged, fine], 1), decoder.blocks[0])
    x = block(x.repeat_interleave(2, 2).repeat_interleave(2, 3), decoder.blocks[1])
    torch.testing.assert_close(decoder([fine, coarse]), x)


def test_every_map_and_parameter_matters():
    channels, strides = (3, 4, 5, 6), (4, 8, 16, 32)
    decoder = UNet(channels, strides)
    maps = [x.requires_grad_() for x in features_of(channels, strides)]
    out = decoder(maps)
    (out * torch.rand_like(out)).sum().backward()
    assert all(x.grad.abs().sum() > 0 for x in maps)
    assert all(p.grad.abs().sum() > 0 for p in decoder.parameters())


@pytest.mark.parametrize("strides", [(2, 4, 8, 16, 32), (4, 8, 16, 32), (8,), (16, 32), (7, 14, 28), (1, 3)])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_any_strides_can_be_brought_to_those_wanted(strides, spatial_dims):
    channels = tuple(range(5, 5 + len(strides)))
    cells = {3: (64, 32, 32), 28: (4, 2, 3)}.get(strides[-1], (256 // strides[-1] // 4, 2, 2))[:spatial_dims]
    maps = features_of(channels, strides, cells, batch=1)
    decoder = UNet(channels, strides, spatial_dims, widths=(6,), at=[4, 8, 16, 32])
    assert (decoder.stride, len(decoder.blocks)) == (4, 3)
    padded = [length * strides[0] for length in maps[0].shape[2:]]
    assert decoder(maps).shape == (1, 6, *(-(-length // 4) for length in padded))


def test_resampled_first_is_the_decoder_of_resampled_maps():
    channels, strides = (3, 5), (2, 4)
    decoder, plain = UNet(channels, strides, at=[4, 8]).eval(), UNet((5, 5), (4, 8)).eval()
    plain.load_state_dict(decoder.state_dict())
    fine, coarse = features_of(channels, strides, cells=(4, 6))
    assert torch.equal(decoder([fine, coarse]), plain([coarse, F.avg_pool2d(coarse, 2)]))


@pytest.mark.parametrize(("strides", "stride"), [((1, 2, 4), None), ((4, 8), 1), ((8,), None), ((2, 4, 8), 4)])
def test_deep_maps_are_what_it_says_and_begin_with_its_output(strides, stride):
    channels = tuple(range(3, 3 + len(strides)))
    decoder = UNet(channels, strides, widths=(7, 6, 5), stride=stride).eval()
    features = features_of(channels, strides)
    maps = decoder.deep(features)
    assert torch.equal(maps[0], decoder(features))
    assert (decoder.deep_channels[0], decoder.deep_strides[0]) == (decoder.out_channels, decoder.stride)
    padded = [length * strides[0] for length in features[0].shape[2:]]
    for x, width, step in zip(maps, decoder.deep_channels, decoder.deep_strides, strict=True):
        assert x.shape == (2, width, *(length // step for length in padded))
