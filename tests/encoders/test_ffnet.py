import re
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from scipy import ndimage

from visionkit.assemble import make_network
from visionkit.config import compose, conf_dir, options
from visionkit.encoders.ffnet import BlurDown, FFNetA, FFNetB, FFNetC
from visionkit.encoders.ffnet_weights import renamed
from visionkit.errors import ConfigError
from visionkit.labels import Classes

QUICK = ("ffnet18_dAAA", "ffnet50_dAAA", "ffnet34_dAAC", "ffnet34_ABB", "ffnet40S_BCC_mobile", "ffnet46NS_CBB_mobile")
PUBLISHED = [
    pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow)
    for path in sorted((conf_dir() / "published").glob("ffnet*.yaml"))
]

SMALL = [
    (lambda **options: FFNetA((1, 2, 1, 1), **options), (4, 8, 16, 32)),
    (lambda **options: FFNetA((1, 1, 1, 1), bottleneck=True, **options), (4, 8, 16, 32)),
    (lambda **options: FFNetA((1, 1, 1, 1), first_stride=2, **options), (8, 16, 32, 64)),
    (lambda **options: FFNetB((1, 1, 1, 1), **options), (4, 8, 16, 32)),
    (lambda **options: FFNetB((1, 1, 1, 1), first_stride=2, pre_down=True, **options), (16, 32, 64, 128)),
    (lambda **options: FFNetC((1, 1, 1), **options), (4, 8, 16, 32)),
    (lambda **options: FFNetC((1, 1, 1), pre_down=True, **options), (8, 16, 32, 64)),
]


@pytest.mark.parametrize(("make", "strides"), SMALL)
@pytest.mark.parametrize("cells", [(1, 1), (3, 2)])
@torch.no_grad()
def test_maps_have_exactly_the_promised_size(make, strides: tuple[int, ...], cells: tuple[int, int]) -> None:
    encoder = make(in_chans=2).eval()
    height, width = (count * strides[-1] for count in cells)
    maps = encoder(torch.rand(1, 2, height, width))
    assert encoder.strides == strides
    expected = [(1, c, height // s, width // s) for c, s in zip(encoder.channels, strides, strict=True)]
    assert [tuple(x.shape) for x in maps] == expected


def convolutions(encoder: torch.nn.Module) -> int:
    return sum(x.weight.numel() for x in encoder.modules() if isinstance(x, torch.nn.Conv2d))


def test_parameters_counted_by_hand() -> None:
    # ResNet-18 without its classifier has 11,176,512 parameters.
    assert sum(x.numel() for x in FFNetA((2, 2, 2, 2)).parameters()) == 11_176_512
    # The stem, a block that keeps 64 channels, and blocks to 96, 160 and 320 with 1x1 shortcuts.
    pairs = [(64, 96), (96, 160), (160, 320)]
    expected = 27 * 64 + 2 * 9 * 64 * 64 + sum(9 * a * b + 9 * b * b + a * b for a, b in pairs)
    assert convolutions(FFNetC((1, 1, 1))) == expected


@torch.no_grad()
def test_a_block_is_the_residual_formula() -> None:
    torch.manual_seed(0)
    block = FFNetA((1, 1, 1, 1)).eval().stages[1][0]
    x = torch.randn(1, 64, 9, 7)
    conv1, norm1, _ = block.branch[0]
    conv2, norm2, _ = block.branch[1]
    conv3, norm3, _ = block.shortcut
    y = torch.relu(norm1(torch.conv2d(x, conv1.weight, stride=2, padding=1)))
    y = norm2(torch.conv2d(y, conv2.weight, padding=1)) + norm3(torch.conv2d(x, conv3.weight, stride=2))
    torch.testing.assert_close(block(x), y.relu())


def test_the_blur_is_scipys_gaussian() -> None:
    delta = torch.zeros(5, 5)
    delta[2, 2] = 1
    expected = torch.from_numpy(ndimage.gaussian_filter(delta.numpy(), sigma=0.7))
    down = BlurDown(2)
    torch.testing.assert_close(down.kernel[1, 0], expected, atol=1e-6, rtol=0)
    assert down(torch.rand(1, 2, 1024, 2048)).shape == (1, 2, 511, 1022)
    torch.testing.assert_close(down(torch.ones(1, 2, 16, 16)), torch.ones(1, 2, 7, 6))


@torch.no_grad()
def test_weights_come_back(tmp_path) -> None:
    first = FFNetC((1, 1, 1))
    save_file({f"encoder.{name}": value for name, value in first.state_dict().items()}, tmp_path / "a.safetensors")
    again = FFNetC((1, 1, 1), weights=tmp_path / "a.safetensors")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())


@pytest.mark.parametrize("path", PUBLISHED)
def test_published_networks_have_every_parameter(path: Path) -> None:
    row = yaml.safe_load(path.read_text())
    cfg = compose("train", [f"encoder={row['encoder']}", f"task={row['task']}", *row["overrides"]])
    classes = Classes(tuple(str(index) for index in range(row["classes"])))
    with torch.device("meta"):
        network = make_network(cfg, {"mask": classes})
    assert sum(value.numel() for value in network.parameters()) == row["parameters"]


@pytest.mark.parametrize("path", sorted((conf_dir() / "published").glob("ffnet*.yaml")), ids=lambda path: path.stem)
def test_names_and_rows_say_the_same(path: Path) -> None:
    row = yaml.safe_load(path.read_text())
    number, halved, up_head, head, mobile = re.fullmatch(
        r"ffnet(\d+(?:NS?|S)?)_(d?)[ABC]([ABC])([ABC])(_mobile)?", path.stem
    ).groups()
    assert row["encoder"] == f"ffnet{number.lower()}"
    assert row["task"] == f"segmentation/ffnet_{up_head.lower()}{head.lower()}"
    assert ("encoder.first_stride=2" in row["overrides"]) == bool(halved)
    assert ("tasks.segmentation.decoder.mode=nearest" in row["overrides"]) == bool(mobile)


@pytest.mark.parametrize("option", [name for name in options("encoder") if name.startswith("ffnet")])
def test_the_name_counts_the_convolutions(option: str) -> None:
    encoder = compose("train", [f"encoder={option}"]).encoder
    in_block = 3 if encoder.get("bottleneck") else 2
    assert int(re.search(r"\d+", option)[0]) == in_block * sum(encoder.depths) + 2


@pytest.mark.parametrize(("make", "strides"), SMALL)
def test_gradient_reaches_every_parameter(make, strides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    encoder = make()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    maps = encoder(torch.rand(2, 3, 2 * strides[-1], 2 * strides[-1]))
    sum((x * torch.rand_like(x)).sum() for x in maps).backward()
    assert [name for name, value in encoder.named_parameters() if not value.grad.abs().sum() > 0] == []


@pytest.mark.parametrize(("make", "strides"), SMALL)
@torch.no_grad()
def test_in_bf16_as_in_float32(make, strides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    encoder = make().eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    image = torch.rand(1, 3, strides[-1], strides[-1])
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(image)
    for found, expected in zip(rough, encoder(image), strict=True):
        assert (found.float() - expected).norm() < 0.05 * expected.norm()


def test_initial_weights_are_small_and_normal() -> None:
    torch.manual_seed(0)
    weight = FFNetB((1, 1, 1, 1)).stages[3][0].branch[1][0].weight
    assert weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=1e-4)


def test_published_names_are_ours() -> None:
    four = ["conv1.weight", "bn1.bias", "layer1.0.conv2.weight", "layer2.0.downsample.1.bias", "layer4.2.bn3.weight"]
    assert list(renamed(dict.fromkeys(four), three_stages=False)) == [
        "stem.0.0.weight",
        "stem.0.1.bias",
        "stages.0.0.branch.1.0.weight",
        "stages.1.0.shortcut.1.bias",
        "stages.3.2.branch.2.1.weight",
    ]
    three = ["conv0.weight", "bn2.running_mean", "layer1.7.conv1.weight", "layer3.0.downsample.0.weight", "fc.weight"]
    assert list(renamed(dict.fromkeys(three), three_stages=True)) == [
        "levels.0.0.0.weight",
        "levels.0.2.1.running_mean",
        "levels.1.7.branch.0.0.weight",
        "levels.3.0.shortcut.0.weight",
        "fc.weight",
    ]


def as_published(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    first = 1 if type(encoder) is FFNetA else 0
    kinds = ("conv", "bn")

    def name(key: str) -> str:
        key = re.sub(r"^(?:stem|levels\.0)\.(\d)\.(\d)", lambda x: f"{kinds[int(x[2])]}{int(x[1]) + first}", key)
        key = re.sub(r"branch\.(\d)\.(\d)", lambda x: f"{kinds[int(x[2])]}{int(x[1]) + 1}", key)
        key = re.sub(r"^stages\.(\d)", lambda x: f"layer{int(x[1]) + 1}", key)
        return f"backbone_model.{key}".replace(".levels.", ".layer").replace("shortcut", "downsample")

    state = encoder.state_dict().items()
    return {name(key): value for key, value in state if not key.startswith(("normalise.", "pre_down."))}


@pytest.mark.parametrize(("make", "strides"), SMALL)
def test_published_weights_come_in_by_their_own_names(make, strides: tuple[int, ...], tmp_path: Path) -> None:
    first = make()
    tensors = as_published(first)
    save_file({**tensors, "head.layers.0.weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    again = make(weights=tmp_path / "a.safetensors")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())


def test_networks_named_d_start_from_published_weights_without_d(tmp_path: Path) -> None:
    first = FFNetB((1, 1, 1, 1))
    save_file(as_published(first), tmp_path / "a.safetensors")
    again = FFNetB((1, 1, 1, 1), first_stride=2, weights=tmp_path / "a.safetensors").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.state_dict().items())
    assert {name.rsplit(".", 2)[0] for name in again.keys() - first.state_dict().keys()} == {"stages.0.0.shortcut"}


def test_published_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file(as_published(FFNetB((1, 1, 1, 1))), tmp_path / "a.safetensors")
    for make in (lambda **options: FFNetB((1, 2, 1, 1), **options), lambda **options: FFNetC((1, 1, 1), **options)):
        with pytest.raises(ConfigError, match="C25"):
            make(weights=tmp_path / "a.safetensors")


@pytest.mark.parametrize("make", [SMALL[0][0], SMALL[5][0]])
def test_a_frozen_encoder_does_not_change(make) -> None:
    encoder = make(freeze=True)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.train()(torch.rand(2, 3, 32, 32))
    assert not any(value.requires_grad for value in encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FFNetA((1, 1, 1)), "blocks of 4 stages"),
        (lambda: FFNetC((1, 1, 1, 1)), "blocks of 3 stages"),
        (lambda: FFNetB((1, 0, 1, 1)), "numbers from 1 up"),
        (lambda: FFNetA((1, 1, 1, 1), first_stride=3), "set it to 1 or 2"),
    ],
)
def test_wrong_numbers_are_told_in_one_line(make, words: str) -> None:
    with pytest.raises(ConfigError, match="C76") as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
