from collections.abc import Sequence
from pathlib import Path

import contract
import pytest
import torch
from omegaconf import OmegaConf

from visionkit.config import build, conf_dir
from visionkit.decoders.fpn import FPN
from visionkit.decoders.unet import UNet
from visionkit.layers.padding import pad_to_multiple
from visionkit.layers.strides import increase, per_axis
from visionkit.types import Stride

CONFIGS = sorted(conf_dir().glob("encoder/*.yaml"))
SIZES = {2: ((1, 7), (33, 65)), 3: ((5, 33, 21),)}


def divided(size: Sequence[int], stride: Stride) -> tuple[int, ...]:
    return tuple(length // step for length, step in zip(size, per_axis(stride, len(size)), strict=True))


def test_there_are_encoders():
    assert {"resnet18", "resnet50", "vgg16_bn", "convnext_tiny", "vit_tiny", "vit_small"} <= {p.stem for p in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@torch.no_grad()
def test_any_size_through_any_decoder(path: Path):
    if contract.about(path.stem).parameters > contract.HEAVY:
        pytest.skip("heavy encoders pass through a task in test_configs")
    encoder = build(OmegaConf.load(path)).eval()
    for size in SIZES[encoder.spatial_dims]:
        check_shapes(encoder, size)


def check_shapes(encoder: torch.nn.Module, size: tuple[int, ...]):
    image = pad_to_multiple(torch.rand(1, encoder.in_chans, *size), encoder.strides[-1])
    features = encoder(image)
    assert increase(encoder.strides, encoder.spatial_dims)
    for channels, stride, features_ in zip(encoder.channels, encoder.strides, features, strict=True):
        assert features_.shape == (1, channels, *divided(image.shape[2:], stride))
    for decoder_type in (UNet, FPN):
        decoder = decoder_type(encoder.channels, encoder.strides, encoder.spatial_dims).eval()
        expected = (1, decoder.out_channels, *divided(image.shape[2:], decoder.stride))
        assert decoder(features).shape == expected


def test_description_comes_first():
    for path in CONFIGS:
        assert path.read_text().startswith("# "), path
