import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage

from visionkit.encoders.ffnet import BlurDown, FFNetA, FFNetB, FFNetC

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
