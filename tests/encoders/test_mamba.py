from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.bundle.onnx import export_onnx
from visionkit.encoders.mamba import SS2D, VMamba, VMambaClassifier, cross_merge, cross_scan
from visionkit.errors import ConfigError
from visionkit.layers.scan_torch import reference_scan
from visionkit.layers.ssm import SelectiveSSM
from visionkit.network import Network


def tiny(**options) -> VMamba:
    torch.manual_seed(0)
    return VMamba(**{"width": 16, "depths": (1, 1, 2, 1), "states": 2, "expansion": 2.0, **options})


@pytest.mark.parametrize("size", [(32, 32), (64, 96)], ids=str)
@torch.no_grad()
def test_maps_have_exactly_the_promised_size(size: tuple[int, int]) -> None:
    encoder = tiny(in_chans=2).eval()
    maps = encoder(torch.rand(1, 2, *size))
    assert encoder.strides == (4, 8, 16, 32)
    expected = [(1, c, size[0] // s, size[1] // s) for c, s in zip((16, 32, 64, 128), encoder.strides, strict=True)]
    assert [tuple(x.shape) for x in maps] == expected


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"width": 96, "depths": (2, 2, 8, 2), "expansion": 1.0}, 30_249_064),
        pytest.param({"width": 96, "depths": (2, 2, 15, 2), "expansion": 2.0}, 50_147_752, marks=pytest.mark.slow),
        pytest.param({"width": 128, "depths": (2, 2, 15, 2), "expansion": 2.0}, 88_557_800, marks=pytest.mark.slow),
    ],
    ids=["tiny", "small", "base"],
)
def test_the_classifier_has_the_parameters_of_the_authors_code(options: dict, parameters: int) -> None:
    with torch.device("meta"):
        classifier = VMambaClassifier(VMamba(**options))
        assert classifier(torch.rand(1, 3, 224, 224)).shape == (1, 1000)
    assert sum(x.numel() for x in classifier.parameters()) == parameters


def test_every_parameter_learns_in_mixed_precision_too() -> None:
    encoder = tiny(drop_path_rate=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        maps = encoder(torch.rand(2, 3, 64, 32))
    sum(x.float().square().mean() for x in maps).backward()
    assert [name for name, x in encoder.named_parameters() if x.grad is None or not x.grad.isfinite().all()] == []


def test_paths_go_by_rows_by_columns_and_both_backward() -> None:
    cells = torch.tensor([[0, 1, 2], [3, 4, 5]]).view(1, 2, 3, 1)
    paths = cross_scan(cells)[0, :, :, 0].T.tolist()
    assert paths == [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]]


def test_merging_is_the_transpose_of_scanning() -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 12, 4, 5, dtype=torch.float64)
    (transposed,) = torch.autograd.grad(cross_scan(x), x, y)
    torch.testing.assert_close(cross_merge(y, (3, 4)), transposed)


@torch.no_grad()
def test_each_direction_is_a_model_of_its_own() -> None:
    torch.manual_seed(0)
    ssm = SelectiveSSM(channels=6, states=3, rank=2, directions=2)
    x = torch.randn(2, 9, 2, 6)
    y = ssm(x)
    for k in range(2):
        rates = -torch.arange(1.0, 4).repeat(6, 1)  # as set at the start
        low, B, C = F.linear(x[:, :, k], ssm.input_proj[k]).split([2, 3, 3], -1)
        delta = F.softplus(F.linear(low, ssm.step_proj[k], ssm.step_bias.view(2, 6)[k]))
        want = reference_scan(x[:, :, k], delta, rates, B.unsqueeze(2), C.unsqueeze(2)) + x[:, :, k]
        torch.testing.assert_close(y[:, :, k], want)


def test_step_sizes_start_in_the_stable_range_and_vectors_are_kept_from_decay() -> None:
    ssm = SelectiveSSM(64, 4, 4, 2)
    step = F.softplus(ssm.step_bias)
    assert 1e-3 * 0.999 <= step.min() < 4e-3
    assert 3e-2 < step.max() <= 0.1 * 1.001
    assert {name for name, x in ssm.named_parameters() if x.ndim == 1} == {"A_log", "D", "step_bias"}


@torch.no_grad()
def test_transposing_the_picture_swaps_rows_and_columns() -> None:
    torch.manual_seed(0)
    block = SS2D(8, 8, 1)
    x = torch.randn(1, 4, 6, 8)
    y = block(x)
    block.conv.weight.copy_(block.conv.weight.mT.clone())
    for parameter in block.ssm.parameters():
        parameter.copy_(parameter.unflatten(0, (4, -1))[[1, 0, 3, 2]].reshape(parameter.shape))
    torch.testing.assert_close(block(x.transpose(1, 2)).transpose(1, 2), y)


def released(encoder: VMamba) -> dict[str, Tensor]:
    """The stages under the authors' names and shapes, written down the other way round than the encoder reads them."""
    tensors: dict[str, Tensor] = {"classifier.head.bias": torch.zeros(1000)}
    stem = {0: 0, 1: 2, 3: 5, 4: 7}
    for name, value in encoder.body.state_dict().items():
        head, *rest = name.split(".")
        if head == "stem":
            name = ".".join(["patch_embed", str(stem[int(rest[0])]), rest[1]])
        elif head == "downs":
            name = f"layers.{rest[0]}.downsample.{ {'0': 1, '1': 3}[rest[1]] }.{rest[2]}"
        else:
            stage, block, *rest = rest
            tail = ".".join(rest).replace("norm1", "norm").replace("mlp.0", "mlp.fc1").replace("mlp.2", "mlp.fc2")
            tail = tail.replace("scan.conv", "scan.conv2d").replace("scan.norm", "scan.out_norm").replace("scan", "op")
            tail = tail.replace("ssm.input_proj", "x_proj_weight").replace("ssm.step_proj", "dt_projs_weight")
            tail = tail.replace("ssm.step_bias", "dt_projs_bias").replace("ssm.A_log", "A_logs").replace("ssm.D", "Ds")
            name = f"layers.{stage}.blocks.{block}.{tail}"
            if tail == "op.A_logs":
                value = value.view(-1, 2)
            elif tail == "op.dt_projs_bias":
                value = value.view(4, -1)
            elif "fc" in tail and tail.endswith("weight"):
                value = value[:, :, None, None]
        tensors[name] = value
    return tensors


@torch.no_grad()
def test_weights_of_the_authors_and_of_a_trained_network(tmp_path: Path) -> None:
    trained, image = tiny().eval(), torch.rand(1, 3, 32, 32)
    torch.save({"model": released(trained)}, tmp_path / "released.pth")
    torch.manual_seed(1)
    encoder = VMamba(16, (1, 1, 2, 1), 2.0, 2, weights=tmp_path / "released.pth").eval()
    torch.testing.assert_close(encoder(image), trained(image), atol=0, rtol=0)
    trained.norms[0].weight.fill_(3)
    torch.save({f"encoder.{name}": x for name, x in trained.state_dict().items()}, tmp_path / "trained.pth")
    torch.testing.assert_close(tiny(weights=tmp_path / "trained.pth").eval()(image), trained(image), atol=0, rtol=0)
    with pytest.raises(ConfigError, match="C25"):
        tiny(depths=(1, 1, 1, 1), weights=tmp_path / "released.pth")


def test_a_frozen_body_rests_and_the_norms_learn() -> None:
    encoder = tiny(freeze=True, drop_path_rate=0.9).train()
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(encoder(image), encoder(image), atol=0, rtol=0)
    assert {name.split(".")[0] for name, x in encoder.named_parameters() if x.requires_grad} == {"norms"}


def test_stochastic_depth_acts_in_training() -> None:
    encoder, image = tiny(drop_path_rate=0.9), torch.rand(4, 3, 32, 32)
    assert not torch.equal(encoder(image)[-1], encoder(image)[-1])


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
    network = Network(tiny(depths=(1,)), {"maps": Head})
    assert export_onnx(network, tmp_path / "m.onnx", {}, {}).is_file()  # it compares, and raises where they differ
