from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from visionkit.bundle.onnx import export_onnx
from visionkit.config import build, conf_dir
from visionkit.decoders.unet import UNet
from visionkit.encoders.dilated import DilatedEncoder
from visionkit.errors import ConfigError
from visionkit.labels import Classes
from visionkit.losses.segmentation import CrossEntropy
from visionkit.network import Network
from visionkit.tasks.segmentation import Segmentation


def tiny(**options) -> DilatedEncoder:
    torch.manual_seed(0)
    return DilatedEncoder((8, 16), (2, 2), (1, 2), **{"group": 4, **options})


@pytest.mark.parametrize("skips", ["inputs", "outputs"])
@pytest.mark.parametrize("cells", [(1, 1, 1), (2, 1, 3), (3, 5, 2)])
def test_sizes_and_gradients_of_volumes(skips: str, cells: tuple[int, ...]) -> None:
    encoder = tiny(patch=(2, 4, 4), spatial_dims=3, in_chans=1, skips=skips)
    assert encoder.strides == ((2, 4, 4), (4, 8, 8))
    maps = encoder(torch.rand(1, 1, *(n * step for n, step in zip(cells, (4, 8, 8), strict=True))))
    assert [tuple(x.shape) for x in maps] == [(1, 8, *(2 * n for n in cells)), (1, 16, *cells)]
    sum(x.square().sum() for x in maps).backward()
    assert [name for name, value in encoder.named_parameters() if value.grad is None] == []


def test_inputs_are_what_the_stages_take() -> None:
    encoder, taken = tiny(skips="inputs"), []
    for stage in encoder.stages:
        stage.register_forward_pre_hook(lambda _, args: taken.append(args[0].movedim(-1, 1)))
    image = torch.rand(1, 3, 16, 24)
    maps = encoder(image)
    assert torch.equal(maps[0], taken[0])
    assert not torch.allclose(maps[1], taken[1], atol=1e-3)


def test_a_level_sees_the_whole_image_from_the_second_block_on() -> None:
    """Lattices join what boxes keep apart: a change in one corner arrives in the other."""
    encoder = tiny(patch=1, group=2).eval()
    image = torch.rand(1, 3, 4, 4)
    changed = image.clone()
    changed[..., 0, 0] += 1
    first, other = encoder(image)[0], encoder(changed)[0]
    assert (first - other).abs().sum(1)[0, 3, 3] > 1e-6


def test_wrong_options() -> None:
    with pytest.raises(ConfigError, match="C82"):
        tiny(skips="both")
    with pytest.raises(ConfigError, match="C82"):
        DilatedEncoder((8, 16), (2,), (1, 2))
    with pytest.raises(ConfigError, match="C80"):
        tiny(patch=(2, 4, 4))


@pytest.mark.parametrize("name", ["dformer", "dformer_small", "dilated_small", "dilated_tiny"])
def test_description_tells_the_parameters(name: str) -> None:
    path = conf_dir() / "encoder" / f"{name}.yaml"
    with torch.device("meta"):
        encoder = build(OmegaConf.load(path))
    count = sum(value.numel() for value in encoder.parameters()) / 1e6
    assert f" {count:.1f} M parameters" in path.read_text().splitlines()[0]


@pytest.mark.slow
def test_onnx_of_free_size(tmp_path: Path) -> None:
    """Grids below a group, and such that need padding: the export compares its results itself."""
    pytest.importorskip("onnxscript")
    task = partial(Segmentation, UNet, {"cross_entropy": CrossEntropy()})
    network = Network(tiny(), {"segmentation": task}, {"mask": Classes(("a", "b"))})
    assert export_onnx(network, tmp_path / "network.onnx", {}, {}).is_file()
