"""Training that begins with the weights of another."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from visionkit.errors import ConfigError
from visionkit.warm_start import start_from


def network(classes: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    return nn.ModuleDict({"encoder": encoder, "head": nn.Linear(4, classes)})


def written(place: Path, module: nn.Module) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    save_file(module.state_dict(), place)
    return place


@pytest.mark.parametrize("inside", ["bundle/model.safetensors", "model.safetensors"])
def test_all_weights_of_a_run_or_a_bundle(inside: str, tmp_path: Path) -> None:
    old, new = network(3, seed=0), network(3, seed=1)
    old["encoder"][1].running_mean.fill_(0.5)
    written(tmp_path / inside, old)
    assert start_from(new, tmp_path) == f"starts from {tmp_path}: 6 of 6 weights"
    assert all(torch.equal(value, old.state_dict()[name]) for name, value in new.state_dict().items())


def test_a_head_of_other_classes_begins_anew(tmp_path: Path) -> None:
    old, new, before = network(3, seed=0), network(5, seed=1), network(5, seed=1)
    file = written(tmp_path / "old.safetensors", old)
    assert start_from(new, file).endswith("4 of 6 weights; new: head.weight, head.bias")
    assert torch.equal(new["encoder"][0].weight, old["encoder"][0].weight)
    assert torch.equal(new["head"].weight, before["head"].weight)


def test_nothing_that_fits_is_an_error(tmp_path: Path) -> None:
    file = written(tmp_path / "other.safetensors", nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="C94"):
        start_from(network(3, seed=0), file)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"C23.*holds no weights"):
        start_from(network(3, seed=0), tmp_path)
