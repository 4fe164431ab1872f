from functools import partial

import pytest
import torch
from torch import nn

from visionkit.decoders.dformer import DFormer
from visionkit.encoders.dilated import DilatedEncoder
from visionkit.errors import ConfigError

CHANNELS, STRIDES = (8, 12, 16), ((2, 4, 4), (4, 8, 8), (8, 16, 16))
small = partial(DFormer, depths=(1, 2), head_channels=4)


def maps_of(channels, strides, cells, batch=1):
    """Maps of an image of ``cells`` coarsest cells."""
    axes = [stride if isinstance(stride, tuple) else (stride,) * len(cells) for stride in strides]
    sizes = [[n * top // own for n, top, own in zip(cells, axes[-1], axis, strict=True)] for axis in axes]
    return [torch.randn(batch, c, *size) for c, size in zip(channels, sizes, strict=True)]


@pytest.mark.parametrize("cells", [(1, 1, 1), (1, 2, 3)])
def test_outputs_of_volumes(cells: tuple[int, ...]) -> None:
    decoder = small(CHANNELS, STRIDES, outputs=2).eval()
    maps, size = maps_of(CHANNELS, STRIDES, cells), [8 * cells[0], 16 * cells[1], 16 * cells[2]]
    assert (decoder.deep_channels, decoder.deep_strides) == ((8, 12), (1, 2))
    deep = decoder.deep(maps)
    assert [tuple(x.shape) for x in deep] == [(1, 8, *size), (1, 12, *(n // 2 for n in size))]
    torch.testing.assert_close(decoder(maps), deep[0])


@pytest.mark.parametrize("strides", [(2, 4, 8, 16, 32), (7, 14, 28), (8,), (1, 3)])
def test_any_encoder_of_pictures(strides: tuple[int, ...]) -> None:
    channels = tuple(range(6, 6 + len(strides)))
    decoder = small(channels, strides, 2, outputs=3)
    found = decoder(maps_of(channels, strides, (2, 3), batch=2))
    assert found.shape == (2, decoder.out_channels, 2 * strides[-1], 3 * strides[-1])
    assert decoder.stride == 1


@pytest.mark.parametrize("recompute", [False, True])
def test_every_weight_and_map_gets_a_gradient(recompute: bool) -> None:
    decoder = small(CHANNELS, STRIDES, outputs=2, recompute=recompute)
    maps = [x.requires_grad_() for x in maps_of(CHANNELS, STRIDES, (1, 1, 2))]
    sum(x.square().sum() for x in decoder.deep(maps)).backward()
    assert [name for name, value in decoder.named_parameters() if value.grad is None] == []
    assert all(x.grad.abs().sum() > 0 for x in maps)


def test_recomputing_changes_no_gradient() -> None:
    gradients, maps = [], maps_of(CHANNELS, STRIDES, (1, 1, 2))
    for recompute in (False, True):
        torch.manual_seed(0)
        decoder = small(CHANNELS, STRIDES, recompute=recompute)
        decoder(maps).square().mean().backward()
        gradients.append(decoder.heads[0].expand.weight.grad)
    torch.testing.assert_close(*gradients)


def test_strides_that_are_no_multiples() -> None:
    with pytest.raises(ConfigError, match="C82"):
        small((4, 4), (4, 6), 2)


def test_the_published_network_has_the_weights_of_the_released_code() -> None:
    with torch.device("meta"):
        encoder = DilatedEncoder(patch=(2, 4, 4), group=(2, 8, 8), spatial_dims=3, in_chans=1, skips="inputs")
        decoder = DFormer(encoder.channels, encoder.strides, outputs=3)
        scores = nn.ModuleList(nn.Conv3d(width, 14, 1, bias=False) for width in decoder.deep_channels)
    total = sum(value.numel() for part in (encoder, decoder, scores) for value in part.parameters())
    assert total == 50_557_248
    # The paper's figure, 44.3 M, is that of the finest head alone and of skips that no linear layer joins.
    coarse = sum(value.numel() for part in (decoder.heads[1:], scores[1:]) for value in part.parameters())
    joins = sum(value.numel() for value in decoder.joins.parameters())
    assert total - coarse - joins == 44_262_048
