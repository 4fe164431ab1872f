from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from visionkit.decoders.ffnet import FFNetHead
from visionkit.errors import ConfigError


def maps(channels: tuple[int, ...], strides: tuple[int, ...], height: int = 64, width: int = 96) -> list[torch.Tensor]:
    return [torch.rand(2, c, height // s, width // s) for c, s in zip(channels, strides, strict=True)]


@pytest.mark.parametrize("strides", [(4, 8, 16, 32), (2, 4, 8, 16, 32), (8, 16), (16,)])
def test_any_strides_give_a_map_at_the_stated_one(strides: tuple[int, ...]) -> None:
    channels = tuple(range(3, 3 + len(strides)))
    decoder = FFNetHead(channels, strides, base=(4, 5, 6, 7), widths=(3, 4, 5, 6), width=8)
    out = decoder(maps(channels, strides))
    assert out.shape == (2, 8, 64 // decoder.stride, 96 // decoder.stride)


@pytest.mark.parametrize(("mode", "corners"), [("bilinear", True), ("nearest", None)])
@torch.no_grad()
def test_the_sum_is_passed_on_and_not_the_smoothed_map(mode: str, corners: bool | None) -> None:
    torch.manual_seed(0)
    channels, strides = (3, 4, 5, 6), (4, 8, 16, 32)
    decoder = FFNetHead(channels, strides, base=(4, 5, 6, 7), widths=(3, 4, 5, 6), width=8, mode=mode).eval()
    features = maps(channels, strides)
    x4, x8, x16, x32 = (adapt(x) for adapt, x in zip(decoder.adapters, features, strict=True))

    def enlarged(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, like.shape[2:], mode=mode, align_corners=corners)

    x16 = x16 + enlarged(decoder.up[2](x32), x16)
    x8 = x8 + enlarged(decoder.up[1](x16), x8)
    x4 = x4 + enlarged(decoder.up[0](x8), x4)
    s4, s8, s16, s32 = (smooth(x) for smooth, x in zip(decoder.smooth, (x4, x8, x16, x32), strict=True))
    together = torch.cat([s4, enlarged(s8, s4), enlarged(s16, s4), enlarged(s32, s4)], 1)
    torch.testing.assert_close(decoder(features), decoder.last(together))


def test_parameters_counted_by_hand() -> None:
    base, widths = (64, 128, 256, 512), (128, 128, 128, 128)
    decoder = FFNetHead(base, (4, 8, 16, 32), base=base, widths=widths, width=512)
    expected = sum(a * a + 2 * a for a in base)  # adapters
    expected += sum(a * b + 2 * b for b, a in pairwise(base))  # on the way down
    expected += sum(9 * a * b + 2 * b for a, b in zip(base, widths, strict=True))  # smoothing
    expected += 9 * 512 * 512 + 512 + 2 * 512
    assert sum(x.numel() for x in decoder.parameters()) == expected


def test_volumes_and_three_strides_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"C83.*is for pictures"):
        FFNetHead((3,), (4,), spatial_dims=3)
    with pytest.raises(ConfigError, match="there must be four"):
        FFNetHead((3,), (4,), at=(4, 8, 16))


def test_an_unknown_way_to_enlarge_is_told_with_the_right_one() -> None:
    with pytest.raises(ConfigError, match="did you mean bilinear"):
        FFNetHead((3,), (4,), mode="bilinaer")


def test_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    channels, strides = (3, 4, 5, 6), (4, 8, 16, 32)
    decoder = FFNetHead(channels, strides, base=(4, 5, 6, 7), widths=(3, 4, 5, 6), width=8)
    for module in decoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight)
    out = decoder(maps(channels, strides))
    (out * torch.rand_like(out)).sum().backward()
    # Batch normalisation takes the bias of the convolution before it away again.
    dead = [name for name, value in decoder.named_parameters() if not value.grad.abs().sum() > 1e-4]
    assert set(dead) <= {"last.0.bias"}
