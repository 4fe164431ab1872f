"""SimpleNet: taps, the published parameters, released names, dropout, freezing, mistakes."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from visionkit.config import build, compose
from visionkit.encoders.simplenet import SimpleNet, SimpleNetClassifier
from visionkit.errors import ConfigError

WIDTHS = [[4, 6, 6, 6], [8, 8, 10], [12, 9]]


def tiny(**options) -> SimpleNet:
    torch.manual_seed(0)
    return SimpleNet(**{"widths": WIDTHS, "pointwise": [7], "strides": [2, 2, 1, 2], **options})


@torch.no_grad()
def test_a_map_is_what_the_last_convolution_of_its_stride_gives() -> None:
    encoder = tiny().eval()
    assert (encoder.strides, encoder.channels) == ((2, 4, 8, 16, 32), (4, 6, 6, 10, 9))
    maps = encoder(torch.rand(1, 3, 64, 96))
    assert [tuple(x.shape[1:]) for x in maps] == [(4, 32, 48), (6, 16, 24), (6, 8, 12), (10, 4, 6), (9, 2, 3)]


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("simplenet_5m", 1000, 5_752_808),
        ("simplenet_9m", 1000, 9_508_968),
        ("simplenet_small_075", 1000, 3_287_272),
        ("simplenet_small_05", 1000, 1_506_792),
        ("simplenet_cifar_5m", 10, 5_498_378),
    ],
)
def test_the_classifier_has_the_parameters_of_the_authors_code(name: str, classes: int, parameters: int) -> None:
    with torch.device("meta"):
        classifier = SimpleNetClassifier(build(compose("train", [f"encoder={name}"]).encoder), classes).eval()
        assert classifier(torch.rand(1, 3, 64, 64)).shape == (1, classes)
    assert sum(x.numel() for x in classifier.parameters()) == parameters


def released(encoder: SimpleNet) -> tuple[nn.Sequential, dict[str, torch.Tensor]]:
    """The same layers in one row with poolings and dropouts between them, as in the authors' code."""
    row: list[nn.Module] = []
    for pool, conv, norm, act, dropout in encoder.body.layers:
        row += [pool, nn.Dropout2d(0)] if isinstance(pool, nn.MaxPool2d) else []
        row += [conv, norm, act, dropout]
    plain = nn.Sequential(*row)
    weights = {f"features.{name}": value.clone() for name, value in plain.state_dict().items()}
    return plain, {**weights, "classifier.weight": torch.zeros(10, 9)}


@torch.no_grad()
def test_released_weights_give_the_same_map(tmp_path) -> None:
    encoder = tiny()
    encoder.train()(torch.rand(4, 3, 64, 64))  # so that batch statistics are not those of the start
    plain, weights = released(encoder.eval())
    save_file(weights, tmp_path / "simplenet.safetensors")
    torch.manual_seed(9)
    loaded = SimpleNet(WIDTHS, [7], [2, 2, 1, 2], weights=tmp_path / "simplenet.safetensors").eval()
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(loaded(image)[-1], plain.eval()(loaded.normalise(image)))


def test_every_parameter_learns() -> None:
    encoder = tiny(dropout=0.1)
    sum(x.square().mean() for x in encoder(torch.rand(2, 3, 64, 64))).backward()
    assert [name for name, x in encoder.named_parameters() if x.grad is None] == []


def test_what_a_pooling_follows_drops_no_channels() -> None:
    rates = [layer[-1].p for layer in tiny(dropout=0.3).body.layers]
    assert rates == [0.3, 0.3, 0.3, 0, 0.3, 0.3, 0, 0.3, 0]


def test_frozen_statistics_rest() -> None:
    encoder = tiny(freeze=True).train()
    before = encoder.body.layers[0][2].running_mean.clone()
    encoder(torch.rand(2, 3, 64, 64))
    assert torch.equal(encoder.body.layers[0][2].running_mean, before)
    assert not any(x.requires_grad for x in encoder.parameters())


@pytest.mark.parametrize("wrong", [{"widths": []}, {"widths": [[4], []]}, {"strides": [3]}, {"strides": [1] * 10}])
def test_impossible_layers_are_named(wrong) -> None:
    with pytest.raises(ConfigError) as error:
        tiny(**wrong)
    assert error.value.code == "C90"
