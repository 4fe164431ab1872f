from pathlib import Path

import pytest
import torch
from torch import Tensor

from visionkit.encoders.svtrv2 import Body, SVTRv2
from visionkit.encoders.svtrv2_weights import of_openocr
from visionkit.errors import ConfigError


def tiny(**options) -> SVTRv2:
    torch.manual_seed(0)
    return SVTRv2(**{"channels": (8, 8, 16), "heads": (2, 2, 4), "mixers": ("C", "CG", "G"), **options}).eval()


@pytest.mark.parametrize("size", [(32, 128), (64, 64), (48, 96), (40, 112), (16, 8)], ids=str)
@torch.no_grad()
def test_maps_have_exactly_the_promised_size(size: tuple[int, int]) -> None:
    encoder = tiny()
    assert encoder.strides == (4, (8, 4))
    shapes = [tuple(x.shape) for x in encoder(torch.rand(2, 3, *size))]
    assert shapes == [(2, 8, size[0] // 4, size[1] // 4), (2, 16, size[0] // 8, size[1] // 4)]


@torch.no_grad()
def test_blocks_normalise_after_the_sum() -> None:
    for x in Body((8, 8, 16), (2, 2, 4), ("C", "CG", "G"), 3, 0.0)(torch.rand(1, 3, 32, 32)):
        torch.testing.assert_close(x.mean(1), torch.zeros_like(x[:, 0]), atol=1e-5, rtol=0)


@torch.no_grad()
def test_attention_is_the_textbook_formula() -> None:
    attention = tiny().body.stages[2][0].mixer
    x = torch.rand(2, 3, 5, 16)
    parts = attention.qkv(x.flatten(1, 2)).chunk(3, -1)
    q, k, v = (part.view(2, 15, 4, 4).transpose(1, 2) for part in parts)
    mixed = ((q @ k.transpose(2, 3)) / 2).softmax(-1) @ v
    torch.testing.assert_close(attention(x), attention.proj(mixed.transpose(1, 2).reshape(2, 3, 5, 16)))


def test_released_names_become_ours(tmp_path: Path) -> None:
    encoder = tiny()
    ours = encoder.body.state_dict()
    torch.save({f"encoder.{_released(name)}": value for name, value in ours.items()}, tmp_path / "released.pth")
    again = tiny(weights=tmp_path / "released.pth")
    assert all(torch.equal(value, again.body.state_dict()[name]) for name, value in ours.items())
    assert set(of_openocr({_released(name): value for name, value in ours.items()})) == set(ours)


def _released(name: str) -> str:
    """A tensor's name in the authors' code; there the second block of the middle stage has the number 2."""
    parts = name.split(".")
    if parts[0] == "stem":
        return ".".join(["pope.patch_embed", parts[1], ("conv", "norm")[int(parts[2])], *parts[3:]])
    if parts[0] == "steps":
        return ".".join(["stages", parts[1], "downsample", ("conv", "norm")[int(parts[2])], *parts[3:]])
    number = int(parts[2]) + (parts[1] == "1" and parts[2] == "1")
    rest = ".".join(parts[3:]).replace("mlp.0", "mlp.fc1").replace("mlp.2", "mlp.fc2")
    return f"stages.{parts[1]}.blocks.{number}.{rest}"


@pytest.mark.parametrize(
    "options",
    [{"mixers": ("C", "CX", "G")}, {"mixers": ("C", "", "G")}, {"mixers": ("C", "G")}, {"heads": (3, 2, 4)}],
    ids=str,
)
def test_stages_that_are_none_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(**options)
    assert caught.value.code == "C190"


def test_normalises_to_minus_one_and_one() -> None:
    seen: list[Tensor] = []
    encoder = tiny()
    encoder.body.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder(torch.stack([torch.zeros(3, 16, 8), torch.ones(3, 16, 8)]))
    assert seen[0][0].unique().tolist() == [-1.0]
    assert seen[0][1].unique().tolist() == [1.0]
