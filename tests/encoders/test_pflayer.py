"""PfLayer: against torchvision's ResNet with pooling in its blocks, the published parameters, released names."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet50

from visionkit.encoders.pflayer import PfClassifier, PfResNet, hybrid_block, max_block
from visionkit.errors import ConfigError


def tiny(block=hybrid_block, **options) -> PfResNet:
    torch.manual_seed(0)
    return PfResNet(block, **{"depths": (1, 2, 1, 1), "widths": (4, 6, 8, 10), **options})


@torch.no_grad()
def test_maps_have_exactly_the_promised_size() -> None:
    encoder = tiny().eval()
    assert (encoder.strides, encoder.channels) == ((2, 4, 8, 16, 32), (4, 16, 24, 32, 40))
    maps = encoder(torch.rand(1, 3, 64, 96))
    assert [tuple(x.shape[1:]) for x in maps] == [(4, 32, 48), (16, 16, 24), (24, 8, 12), (32, 4, 6), (40, 2, 3)]


@pytest.mark.parametrize(("block", "parameters"), [(max_block, 14_232_232), (hybrid_block, 17_330_600)])
def test_the_classifier_has_the_parameters_of_the_authors_code(block, parameters: int) -> None:
    with torch.device("meta"):
        classifier = PfClassifier(PfResNet(block)).eval()
        assert classifier(torch.rand(1, 3, 64, 64)).shape == (1, 1000)
    assert sum(x.numel() for x in classifier.parameters()) == parameters


def published_names(reference: nn.Module) -> dict[str, torch.Tensor]:
    """Tensors of torchvision's ResNet by the names of the authors' code."""
    parts = {"1": "reduction_block", "3": "expansion_block"}
    tensors = {}
    for name, value in reference.state_dict().items():
        stem, *rest = name.split(".")
        if stem in ("conv1", "bn1"):
            tensors[".".join(["conv1", "01"[stem == "bn1"], *rest])] = value
        elif stem == "fc" or rest[1] == "downsample":
            tensors[name] = value
        elif rest[1][-1] in parts:
            tensors[".".join([stem, rest[0], parts[rest[1][-1]], "01"[rest[1].startswith("bn")], *rest[2:]])] = value
    return tensors


@torch.no_grad()
def test_the_max_network_is_a_resnet_whose_convolutions_are_poolings(tmp_path) -> None:
    torch.manual_seed(0)
    reference = resnet50().eval()
    for blocks in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
        for block in blocks:
            block.conv2 = nn.MaxPool2d(3, block.conv2.stride, padding=1)
            block.bn2, relu = nn.Identity(), block.relu
            block.forward = lambda x, b=block, relu=relu: relu(
                b.bn3(b.conv3(b.conv2(relu(b.bn1(b.conv1(x)))))) + (b.downsample(x) if b.downsample else x)
            )
    save_file(published_names(reference), tmp_path / "r50_max.safetensors")
    classifier = PfClassifier(PfResNet(max_block, weights=tmp_path / "r50_max.safetensors")).eval()
    classifier.head.load_state_dict(reference.fc.state_dict())
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(classifier(image), reference(classifier.normalise(image)), atol=1e-5, rtol=1e-5)


def test_the_hybrid_block_convolves_where_it_shrinks() -> None:
    assert next(type(m) for m in hybrid_block(8, 4, 2).branch[1].children()) is nn.AvgPool2d
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in hybrid_block(8, 4, 2).modules()) == 1
    assert not any(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in hybrid_block(8, 4, 1).modules())


@pytest.mark.parametrize("block", [max_block, hybrid_block])
def test_every_parameter_learns(block) -> None:
    encoder = tiny(block)
    sum(x.square().mean() for x in encoder(torch.rand(2, 3, 64, 64))).backward()
    assert [name for name, x in encoder.named_parameters() if x.grad is None] == []


def test_frozen_statistics_rest() -> None:
    encoder = tiny(freeze=True).train()
    before = encoder.body.stem[1].running_mean.clone()
    encoder(torch.rand(2, 3, 64, 64))
    assert torch.equal(encoder.body.stem[1].running_mean, before)


@pytest.mark.parametrize("depths", [(1, 1), (1, 0, 1, 1), ()], ids=str)
def test_depths_without_widths_or_blocks_are_named(depths) -> None:
    with pytest.raises(ConfigError, match="C91"):
        PfResNet(max_block, depths=depths)
