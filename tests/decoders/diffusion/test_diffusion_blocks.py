"""Blocks of the denoiser against their formulas, written out."""

import math

import pytest
import torch
from torch.nn import functional as F

from visionkit.decoders.diffusion.blocks import (
    FullAttention,
    LinearAttention,
    StandardisedConv,
    TimedResidual,
    group_norm,
)
from visionkit.decoders.diffusion.relation import Relation, positions
from visionkit.decoders.diffusion.time import TimeEmbedding


def norm_over_channels(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    mean, variance = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * gain.view(-1, 1, 1)


def test_standardised_kernels():
    layer = StandardisedConv(4, 6, 3, padding=1)
    image = torch.randn(2, 4, 5, 7)
    kernels = torch.stack([(k - k.mean()) / (k.var(correction=0) + 1e-5).sqrt() for k in layer.weight])
    torch.testing.assert_close(layer(image), F.conv2d(image, kernels, layer.bias, padding=1))
    shifted = StandardisedConv(4, 6, 3, padding=1)
    shifted.load_state_dict({"weight": 1000 * layer.weight + 3, "bias": layer.bias})
    torch.testing.assert_close(shifted(image), layer(image), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("channels", [(8, 8), (8, 16)])
def test_time_scales_and_shifts_the_first_half(channels):
    block = TimedResidual(*channels, 12)
    image, time = torch.randn(2, channels[0], 4, 4), torch.randn(2, 12)
    scale, shift = block.time[1](F.silu(time)).chunk(2, 1)
    hidden = F.silu(block.first(image) * (1 + scale[..., None, None]) + shift[..., None, None])
    shortcut = image if channels[0] == channels[1] else block.shortcut(image)
    torch.testing.assert_close(block(image, time), block.second(hidden) + shortcut)


def test_linear_attention_head_by_head():
    layer, image = LinearAttention(8), torch.randn(2, 8, 3, 5)
    qkv = F.conv2d(norm_over_channels(image, layer.norm.weight), layer.qkv.weight).flatten(2)
    found = torch.empty(2, 128, 15)
    for head in range(4):
        query, key, value = (qkv[:, 128 * part + 32 * head :][:, :32] for part in range(3))
        query = query.softmax(1) / math.sqrt(32)
        context = torch.einsum("bdn,ben->bde", key.softmax(2), value / 15)
        found[:, 32 * head : 32 * head + 32] = torch.einsum("bde,bdn->ben", context, query)
    output = norm_over_channels(layer.out[0](found.unflatten(2, (3, 5))), layer.out[1].weight)
    torch.testing.assert_close(layer(image), image + output)


def test_full_attention_head_by_head():
    layer, image = FullAttention(8), torch.randn(2, 8, 3, 5)
    qkv = F.conv2d(norm_over_channels(image, layer.norm.weight), layer.qkv.weight).flatten(2)
    found = torch.empty(2, 128, 15)
    for head in range(4):
        query, key, value = (qkv[:, 128 * part + 32 * head :][:, :32] for part in range(3))
        weights = (query.transpose(1, 2) @ key / math.sqrt(32)).softmax(2)
        found[:, 32 * head : 32 * head + 32] = (weights @ value.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(layer(image), image + layer.out(found.unflatten(2, (3, 5))))


def test_groups_divide_the_channels():
    assert [group_norm(channels).num_groups for channels in (128, 8, 12, 6)] == [8, 8, 4, 2]


def test_time_embedding():
    torch.manual_seed(0)
    layer = TimeEmbedding(6, 10, scale=16.0)
    time = torch.tensor([1e-4, 0.3, 1.0])
    angles = torch.tensor(
        [[2 * math.pi * f * math.log(t) / 4 for f in layer.frequencies.tolist()] for t in time.tolist()]
    )
    wanted = layer.layers(torch.cat([angles.sin(), angles.cos()], 1))
    torch.testing.assert_close(layer(time), wanted, rtol=1e-3, atol=1e-4)
    assert "frequencies" in layer.state_dict()
    assert not layer.frequencies.requires_grad


def test_positions_by_hand():
    found = positions(8, 2, 3)
    assert found.shape == (8, 2, 3)
    for row in range(2):
        for column in range(3):
            wanted = []
            for place in (row + 1, column + 1):
                wanted += [math.sin(place), math.cos(place), math.sin(place / 100), math.cos(place / 100)]
            assert found[:, row, column].tolist() == pytest.approx(wanted, abs=1e-6)


def test_relation_as_written():
    torch.manual_seed(0)
    layer = Relation(5, 16, window=2, dropout=0.0).eval()
    condition, features = torch.randn(2, 5, 4, 6), torch.randn(2, 16, 4, 6)
    first, second = layer.condition_in(condition), layer.features_in(features)
    mixture = layer.norm(second + layer.mix(torch.cat([first, second], 1)))
    asking, asked = (x.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)) for x in (first, second))
    places = positions(16, 2, 3)
    query, key = ((x + places).flatten(2).transpose(1, 2) for x in (asking, asked))
    q, k, v = layer.query(query), layer.key(key), layer.value(key)
    heads = []
    for head in range(8):
        part = slice(2 * head, 2 * head + 2)
        heads.append((q[..., part] @ k[..., part].transpose(1, 2)).softmax(2) @ v[..., part])
    answer = asking + torch.cat(heads, 2).transpose(1, 2).reshape(2, 16, 2, 3)
    answer = answer + layer.refine(answer)
    answer = F.interpolate(answer, size=(4, 6), mode="bilinear", align_corners=True)
    torch.testing.assert_close(layer(condition, features), mixture + layer.out(answer))
