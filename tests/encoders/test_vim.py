from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.bundle.onnx import export_onnx
from visionkit.encoders.vim import BidirectionalMamba, Vim, VimClassifier
from visionkit.errors import ConfigError
from visionkit.layers.scan_torch import reference_scan
from visionkit.network import Network


def tiny(**options) -> Vim:
    torch.manual_seed(0)
    return Vim(**{"width": 16, "depth": 4, "states": 3, "grid": 3, **options})


@pytest.mark.parametrize("size", [(32, 32), (64, 96)], ids=str)
@torch.no_grad()
def test_maps_have_exactly_the_promised_size(size: tuple[int, int]) -> None:
    encoder = tiny(in_chans=2).eval()
    maps = encoder(torch.rand(1, 2, *size))
    assert encoder.strides == (4, 8, 16, 32)
    expected = [(1, c, size[0] // s, size[1] // s) for c, s in zip((4, 8, 16, 16), encoder.strides, strict=True)]
    assert [tuple(x.shape) for x in maps] == expected


@pytest.mark.parametrize(("width", "parameters"), [(192, 7_148_008), (384, 25_796_584)])
def test_the_classifier_has_the_parameters_of_the_authors_code(width: int, parameters: int) -> None:
    with torch.device("meta"):
        classifier = VimClassifier(Vim(width))
        assert classifier(torch.rand(1, 3, 224, 224)).shape == (1, 1000)
    assert sum(x.numel() for x in classifier.parameters()) == parameters


def test_every_parameter_learns_in_mixed_precision_too() -> None:
    encoder = tiny(drop_path_rate=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        maps = encoder(torch.rand(2, 3, 64, 32))
    sum(x.float().square().mean() for x in maps).backward()
    assert [name for name, x in encoder.named_parameters() if x.grad is None or not x.grad.isfinite().all()] == []


@torch.no_grad()
def test_the_class_token_stands_in_the_middle_and_positions_are_those_learned() -> None:
    body = tiny().body.eval()
    for block in body.blocks:
        block.mixer.out_proj.weight.zero_()  # each block then passes on what it gets
    body.patches.weight.zero_()
    (tokens,) = body(torch.rand(2, 3, 48, 48), [3])
    want = body.pos_embed.clone()
    want[:, 4] += body.cls_token[0]
    torch.testing.assert_close(tokens, want.expand(2, -1, -1))
    (larger,) = body(torch.rand(1, 3, 32, 80), [3])
    assert larger.shape == (1, 11, 16)
    torch.testing.assert_close(larger[:, 5], want[:, 4])
    grid = torch.cat([want[:, :4], want[:, 5:]], 1).mT.view(1, 16, 3, 3)
    resized = F.interpolate(grid, size=(2, 5), mode="bicubic").flatten(2).mT
    torch.testing.assert_close(torch.cat([larger[:, :5], larger[:, 6:]], 1), resized)


@torch.no_grad()
def test_the_classifier_reads_the_class_token() -> None:
    for grid in (2, 3):
        encoder = tiny(grid=grid).eval()
        classifier, image = VimClassifier(encoder, classes=4).eval(), torch.rand(2, 3, 16 * grid, 16 * grid)
        (tokens,) = encoder.body(encoder.normalise(image), [3])
        token = tokens[:, grid * grid // 2]
        want = classifier.head(token / (token.square().mean(-1, keepdim=True) + 1e-5).sqrt())
        torch.testing.assert_close(classifier(image), want)


@torch.no_grad()
def test_the_mixer_is_the_mean_of_two_branches_each_written_out() -> None:
    torch.manual_seed(0)
    mixer = BidirectionalMamba(width=5, states=3)
    tokens = torch.randn(2, 7, 5)
    x, gate = mixer.in_proj(tokens).chunk(2, -1)
    total = torch.zeros_like(x)
    for k, turn in enumerate((lambda t: t, lambda t: t.flip(1))):
        weight, bias = mixer.conv.weight.view(2, 10, 4)[k], mixer.conv.bias.view(2, 10)[k]
        padded = F.pad(turn(x), (0, 0, 3, 0))
        u = F.silu(sum(padded[:, i : i + 7] * weight[:, i] for i in range(4)) + bias)
        low, B, C = F.linear(u, mixer.ssm.input_proj[k]).split([1, 3, 3], -1)
        delta = F.softplus(F.linear(low, mixer.ssm.step_proj[k], mixer.ssm.step_bias.view(2, 10)[k]))
        rates = -mixer.ssm.A_log.exp().view(2, 10, 3)[k]
        y = reference_scan(u, delta, rates, B.unsqueeze(2), C.unsqueeze(2)) + u * mixer.ssm.D.view(2, 10)[k]
        total += turn(y) * F.silu(gate)
    torch.testing.assert_close(mixer(tokens), mixer.out_proj(total / 2))


def released(encoder: Vim) -> dict[str, Tensor]:
    """The blocks under the authors' names and shapes, written down the other way round than the encoder reads them."""
    tensors: dict[str, Tensor] = {"norm_f.weight": torch.ones(16), "head.bias": torch.zeros(1000)}
    names = {"conv.weight": ("conv1d{}.weight", (32, 1, 4)), "conv.bias": ("conv1d{}.bias", (32,))}
    names |= {"ssm.input_proj": ("x_proj{}.weight", (7, 32)), "ssm.step_proj": ("dt_proj{}.weight", (32, 1))}
    names |= {"ssm.step_bias": ("dt_proj{}.bias", (32,)), "ssm.A_log": ("A{}_log", (32, 3)), "ssm.D": ("D{}", (32,))}
    for name, value in encoder.body.state_dict().items():
        name = name.replace("patches.", "patch_embed.proj.").replace("blocks.", "layers.")
        block, _, own = name.partition(".mixer.")
        if own not in names:
            tensors[name] = value
            continue
        pattern, shape = names[own]
        for branch, part in zip(("", "_b"), value.flatten().chunk(2), strict=True):
            tensors[f"{block}.mixer.{pattern.format(branch)}"] = part.view(shape)
    return tensors


@torch.no_grad()
def test_weights_of_the_authors_and_of_a_trained_network(tmp_path: Path) -> None:
    trained, image = tiny().eval(), torch.rand(1, 3, 32, 48)
    torch.save({"model": released(trained)}, tmp_path / "released.pth")
    torch.manual_seed(1)
    encoder = Vim(16, 4, 3, 3, weights=tmp_path / "released.pth").eval()
    torch.testing.assert_close(encoder.body(image, [0, 3]), trained.body(image, [0, 3]), atol=0, rtol=0)
    torch.save({f"encoder.{name}": x for name, x in trained.state_dict().items()}, tmp_path / "trained.pth")
    torch.testing.assert_close(
        Vim(16, 4, 3, 3, weights=tmp_path / "trained.pth").eval()(image), trained(image), atol=0, rtol=0
    )
    with pytest.raises(ConfigError, match="C25"):
        tiny(depth=5, weights=tmp_path / "released.pth")


def test_a_frozen_body_rests_and_the_pyramid_learns() -> None:
    encoder = tiny(freeze=True, drop_path_rate=0.9).train()
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(encoder(image), encoder(image), atol=0, rtol=0)
    assert {name.split(".")[0] for name, x in encoder.named_parameters() if x.requires_grad} == {"pyramid"}


class Head(nn.Module):
    """The smallest task that an export needs: all maps brought to the image's size and summed."""

    target = "mask"

    def __init__(self, channels, **_) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(count, 2, 1) for count in channels)

    def forward(self, features, size):
        maps = (head(x) for head, x in zip(self.heads, features, strict=True))
        return sum(F.interpolate(x, size=tuple(size)) for x in maps)


@pytest.mark.slow
def test_the_onnx_file_gives_the_same_for_every_size_and_batch(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    network = Network(tiny(), {"maps": Head})
    assert export_onnx(network, tmp_path / "m.onnx", {}, {}).is_file()  # it compares, and raises where they differ
