import copy
import pickle
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from visionkit.encoders.timm import TimmEncoder
from visionkit.errors import ConfigError, ResourceError, UnsafeFileError


def image(batch: int = 2, channels: int = 3, height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.rand(batch, channels, height, width, generator=torch.Generator().manual_seed(0))


def raised(kind: type[Exception], **arguments) -> str:
    with pytest.raises(kind) as caught:
        TimmEncoder(**arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def resnet() -> torch.nn.Module:
    torch.manual_seed(1)
    return timm.create_model("resnet18")


@torch.no_grad()
def test_features_are_those_of_timm_on_the_normalised_image():
    encoder = TimmEncoder("resnet18").eval()
    reference = timm.create_model("resnet18", features_only=True).eval()
    reference.load_state_dict(encoder.body.state_dict())
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (image() - mean[:, None, None]) / std[:, None, None]
    for found, expected in zip(encoder(image()), reference(normalised), strict=True):
        torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_plain_model_at_its_own_size_sees_what_timm_sees():
    encoder = TimmEncoder("test_vit", out_indices=[1, 2, 3, 5]).eval()
    reference = timm.create_model("test_vit").eval()
    missing = reference.load_state_dict(encoder.body.model.state_dict(), strict=False).missing_keys
    assert all(key.startswith(("norm.", "fc_norm.", "head.")) for key in missing)
    picture = image(height=160, width=160)
    expected = reference.forward_intermediates((picture - 0.5) / 0.5, indices=[1, 2, 3, 5], intermediates_only=True)
    for found, map_ in zip(encoder.body(encoder.normalize(picture)), expected, strict=True):
        torch.testing.assert_close(found, map_)


def test_plain_model_uses_blocks_spread_over_its_depth():
    assert TimmEncoder("vit_tiny_patch16_224").body.out_indices == [2, 5, 8, 11]


def test_one_block_serves_every_level_and_later_blocks_are_gone():
    encoder = TimmEncoder("vit_tiny_patch16_224", out_indices=[5])
    assert len(encoder.body.model.blocks) == 6
    assert [x.shape[1:] for x in encoder(image())] == [(48, 16, 24), (96, 8, 12), (192, 4, 6), (192, 2, 3)]


def test_maps_with_channels_last_are_turned():
    encoder = TimmEncoder("swin_tiny_patch4_window7_224", embed_dim=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
    assert [x.shape[1:] for x in encoder(image())] == [(12, 16, 24), (24, 8, 12), (48, 4, 6), (96, 2, 3)]


def test_of_equal_strides_the_deepest_map_is_given():
    encoder = TimmEncoder("resnet18", output_stride=8)
    assert encoder.strides == (2, 4, 8)
    assert encoder.channels == (64, 64, 512)


def test_chosen_levels():
    encoder = TimmEncoder("resnet18", out_indices=[3, 1])
    assert encoder.strides == (4, 16)
    assert not any(name.startswith("layer4") for name, _ in encoder.body.named_parameters())


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_channels_of_the_image(channels: int):
    encoder = TimmEncoder("resnet18", in_chans=channels)
    picture = image(channels=channels)
    assert encoder(picture)[-1].shape == (2, 512, 2, 3)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    if channels != 3:
        mean, std = [sum(mean) / 3] * channels, [sum(std) / 3] * channels
    for channel in range(channels):
        expected = (picture[:, channel] - mean[channel]) / std[channel]
        torch.testing.assert_close(encoder.normalize(picture)[:, channel], expected)


@pytest.mark.parametrize("model", ["resnet18", "test_vit", "test_convnext", "test_efficientnet", "test_vit3"])
def test_gradient_reaches_every_parameter(model: str):
    encoder = TimmEncoder(model)
    # Weights that start at zero would hide what lies behind them.
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    sum((x * torch.rand_like(x)).sum() for x in encoder(image())).backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("model", ["resnet18", "test_vit", "test_convnext"])
@torch.no_grad()
def test_images_of_a_batch_do_not_meet_in_evaluation(model: str):
    encoder = TimmEncoder(model).eval()
    alone = [encoder(picture[None]) for picture in image(3)]
    for level, together in enumerate(encoder(image(3))):
        torch.testing.assert_close(together, torch.cat([maps[level] for maps in alone]), atol=1e-5, rtol=1e-4)


def test_making_an_encoder_leaves_batch_statistics_and_mode_alone():
    encoder = TimmEncoder("resnet18")
    assert encoder.training
    assert encoder.body.bn1.num_batches_tracked == 0


@pytest.mark.parametrize("model", ["resnet18", "test_vit"])
def test_frozen_body_does_not_change(model: str):
    encoder = TimmEncoder(model, freeze=True, drop_path_rate=0.5)
    before = copy.deepcopy(encoder.body.state_dict())
    encoder.train()
    first, second = encoder(image()), encoder(image())
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in encoder.body.state_dict().items())
    assert not any(p.requires_grad for p in encoder.body.parameters())
    assert all(p.requires_grad for name, p in encoder.named_parameters() if name.startswith("pyramid."))
    assert model == "resnet18" or first[0].requires_grad


def test_stochastic_depth_acts_in_training():
    encoder = TimmEncoder("test_vit", drop_path_rate=0.9)
    assert not torch.equal(encoder(image())[-1], encoder(image())[-1])


@pytest.mark.parametrize("suffix", [".pth", ".bin", ".safetensors"])
@torch.no_grad()
def test_local_weights(tmp_path: Path, resnet: torch.nn.Module, suffix: str):
    path = tmp_path / f"model{suffix}"
    save_file(resnet.state_dict(), path) if suffix == ".safetensors" else torch.save(resnet.state_dict(), path)
    encoder = TimmEncoder("resnet18", pretrained=True, weights=path).eval()
    expected = resnet.eval().forward_features(encoder.normalize(image()))
    torch.testing.assert_close(encoder(image())[-1], expected)


def test_local_weights_are_held_once(tmp_path: Path):
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "model.pth")
    plain, loaded = TimmEncoder("test_vit"), TimmEncoder("test_vit", weights=tmp_path / "model.pth")
    assert len(pickle.dumps(loaded)) < 1.1 * len(pickle.dumps(plain))


@pytest.mark.parametrize("model", ["test_vit", "test_convnext", "mobilenetv3_small_050", "test_efficientnet"])
def test_weights_of_every_way_that_timm_gives_features(tmp_path: Path, model: str):
    whole = timm.create_model(model)
    torch.save(whole.state_dict(), tmp_path / "model.pth")
    encoder = TimmEncoder(model, weights=tmp_path / "model.pth")
    sums = {value.double().sum().item() for value in whole.state_dict().values()}
    assert all(value.double().sum().item() in sums for value in encoder.body.state_dict().values())


@torch.no_grad()
def test_local_weights_of_colour_serve_grey(tmp_path: Path, resnet: torch.nn.Module):
    torch.save({"state_dict": resnet.state_dict()}, tmp_path / "model.pth")
    encoder = TimmEncoder("resnet18", in_chans=1, weights=tmp_path / "model.pth").eval()
    torch.testing.assert_close(encoder.body.conv1.weight, resnet.conv1.weight.sum(1, keepdim=True))


@torch.no_grad()
def test_weights_of_a_trained_network(tmp_path: Path):
    trained = TimmEncoder("test_vit").eval()
    trained.mean.fill_(0.25)
    tensors = {f"network.encoder.{name}": value for name, value in trained.state_dict().items()}
    torch.save({"state_dict": {**tensors, "network.tasks.a.head.weight": torch.zeros(1)}}, tmp_path / "best.ckpt")
    encoder = TimmEncoder("test_vit", weights=tmp_path / "best.ckpt").eval()
    torch.testing.assert_close(encoder(image()), trained(image()))
    assert "C25" in raised(ConfigError, model="test_vit", in_chans=1, weights=tmp_path / "best.ckpt")


def test_weights_of_another_model(tmp_path: Path, resnet: torch.nn.Module):
    path = tmp_path / "model.pth"
    torch.save(resnet.state_dict(), path)
    assert "size mismatch" in raised(ConfigError, model="resnet50", weights=path)
    assert "tensors are missing, the first is layer1.2" in raised(ConfigError, model="resnet34", weights=path)
    torch.save(timm.create_model("resnet34").state_dict(), path)
    assert "left over" in raised(ConfigError, model="resnet18", weights=path)


def test_weights_that_cannot_be_read(tmp_path: Path, resnet: torch.nn.Module):
    path = tmp_path / "model.pth"
    assert "C23" in raised(ConfigError, model="resnet18", weights=path)
    for content in (
        b"",
        b"not weights",
        b"\x80\x02hello",
        b"PK\x03\x04",
        pickle.dumps(3),
        pickle.dumps({"epoch": 3}, 2),
    ):
        path.write_bytes(content)
        assert "C24" in raised(ConfigError, model="resnet18", weights=path)
    torch.save({"epoch": 3}, path)
    assert "no tensors" in raised(ConfigError, model="resnet18", weights=path)
    torch.save(resnet.state_dict(), path)
    path.write_bytes(path.read_bytes()[:100_000])
    assert "C24" in raised(ConfigError, model="resnet18", weights=path)
    save_file(resnet.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:100_000])
    assert "C24" in raised(ConfigError, model="resnet18", weights=tmp_path / "cut.safetensors")


class Trap:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, 2))])
def test_pickle_with_code_is_refused(tmp_path: Path, save):
    save({"state_dict": Trap(tmp_path / "sprung")}, tmp_path / "model.pth")
    assert "U20" in raised(UnsafeFileError, model="resnet18", weights=tmp_path / "model.pth")
    assert not (tmp_path / "sprung").exists()


def test_unknown_names():
    assert "did you mean resnet18" in raised(ConfigError, model="resnt18")
    assert "list_models" in raised(ConfigError, model="qqqqq")
    assert "a1_in1k" in raised(ConfigError, model="resnet18.a1_in1")
    assert "C21" in raised(ConfigError, model="vgg11", drop_path_rate=0.1)
    assert "C26" in raised(ConfigError, model="nf_resnet26", pretrained=True)


def test_models_that_are_no_encoders():
    assert "every size" in raised(ConfigError, model="convit_tiny")
    assert "C22" in raised(ConfigError, model="resnet18", out_indices=[9])
    assert "4 blocks" in raised(ConfigError, model="test_vit", out_indices=[1, 2])


def test_pretrained_without_internet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "model_info", unreachable)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    message = raised(ResourceError, model="resnet18", pretrained=True)
    for part in ("R10", str(tmp_path), "timm/resnet18.a1_in1k/resolve/main/model.safetensors", "encoder.weights=FILE"):
        assert part in message


@torch.no_grad()
def test_pretrained_from_the_cache_asks_nobody(
    tmp_path: Path, resnet: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "models--timm--resnet18.a1_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    save_file(resnet.state_dict(), folder / "snapshots" / ("0" * 40) / "model.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "model_info", lambda *args, **kwargs: pytest.fail("asked the network"))
    encoder = TimmEncoder("resnet18", pretrained=True)
    torch.testing.assert_close(encoder.body.conv1.weight, resnet.conv1.weight)


def test_copies_and_pickles():
    encoder = TimmEncoder("test_vit").eval()
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        torch.testing.assert_close(other(image()), encoder(image()))


@torch.no_grad()
def test_a_plain_model_without_a_pyramid_gives_its_last_block():
    encoder = TimmEncoder("test_vit", pyramid=False).eval()
    image = torch.rand(1, 3, 64, 96)
    (found,) = encoder(image)
    assert (encoder.channels, encoder.strides) == ((64,), (16,))
    tokens = encoder.body.model.forward_features(encoder.normalize(image))  # its own last norm is taken off
    tokens = tokens[:, -24:]  # those before are no patches
    torch.testing.assert_close(
        found.flatten(2).transpose(1, 2), torch.nn.functional.layer_norm(tokens, (64,)), atol=1e-4, rtol=1e-4
    )
