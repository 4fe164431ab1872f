from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from visionkit.encoders.line_convs import LineConvs
from visionkit.errors import ConfigError


def tiny(**options) -> LineConvs:
    torch.manual_seed(0)
    return LineConvs(**{"channels": (2, 4, 4, 6), "depths": (1, 1, 2, 1), **options}).eval()


@pytest.mark.parametrize("size", [(32, 64), (16, 4), (48, 8)], ids=str)
@torch.no_grad()
def test_one_map_that_keeps_the_width(size: tuple[int, int]) -> None:
    encoder = tiny()
    (found,) = encoder(torch.rand(2, 1, *size))
    assert encoder.strides == ((16, 4),)
    assert encoder.channels == (6,)
    assert found.shape == (2, 6, size[0] // 16, size[1] // 4)


@torch.no_grad()
def test_a_column_knows_what_stands_around_it_alone() -> None:
    encoder, image = tiny(), torch.rand(1, 1, 32, 96)
    other = image.clone()
    other[..., 64:] = torch.rand(1, 1, 32, 32)
    (one,), (two,) = encoder(image), encoder(other)
    assert torch.equal(one[..., :11], two[..., :11])
    assert not torch.equal(one[..., 12:], two[..., 12:])


def test_weights_of_a_trained_network(tmp_path: Path) -> None:
    encoder = tiny()
    save_file({f"encoder.{name}": value for name, value in encoder.state_dict().items()}, tmp_path / "w.safetensors")
    again = tiny(weights=tmp_path / "w.safetensors")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize("options", [{"depths": (1, 1, 2)}, {"depths": (1, 0, 1, 1)}, {"channels": (2,)}], ids=str)
def test_stages_that_are_none_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(**options)
    assert caught.value.code == "C191"
