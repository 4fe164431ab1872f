"""The decoding half of an autoencoder, and how a second stage gets the trained whole."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from visionkit.bundle import weights
from visionkit.checkpoint import save_checkpoint
from visionkit.decoders.autoencoder import EdgeAutoencoder, LatentDecoder
from visionkit.encoders.edge_autoencoder import EdgeAutoencoderEncoder
from visionkit.errors import ConfigError, UnsafeFileError
from visionkit.labels import Edges
from visionkit.layers.latent import Posterior
from visionkit.losses.autoencoder import Likelihood
from visionkit.network import Network
from visionkit.tasks.edge_autoencoder import EdgeAutoencoding
from visionkit.warm_start import start_from

SMALL = {"width": 8, "multipliers": (1, 2), "blocks": 1, "latent_channels": 2}


def whole(path=None, **options) -> EdgeAutoencoder:
    options = SMALL | options
    return EdgeAutoencoder(EdgeAutoencoderEncoder(**options), partial(LatentDecoder, **options), path)


def first_stage(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    task = partial(EdgeAutoencoding, decoder=partial(LatentDecoder, **SMALL), losses={"likelihood": Likelihood()})
    return Network(EdgeAutoencoderEncoder(**SMALL), {"drawn": task}, {"edges": Edges()})


def test_parameters_of_the_published_autoencoder():
    with torch.device("meta"):
        both = EdgeAutoencoder(EdgeAutoencoderEncoder(), LatentDecoder)
    assert sum(value.numel() for value in both.parameters()) == 55_307_453  # counted from the released code


def test_of_one_map_at_the_latents_stride_the_moments_are_a_convolution():
    decoder = LatentDecoder((4,), (2,), **SMALL)
    image = torch.randn(2, 4, 5, 6)
    mean, log_variance = F.conv2d(image, decoder.moments[0].weight, decoder.moments[0].bias).chunk(2, 1)
    posterior = decoder.posterior([image])
    torch.testing.assert_close(posterior.mean, mean)
    torch.testing.assert_close(posterior.log_variance, log_variance)
    torch.testing.assert_close(decoder([image]), decoder.decode(mean))


@pytest.mark.parametrize("strides", [(1,), (2, 4), (4, 8, 32), (1, 2, 4)])
def test_any_encoder(strides):
    decoder = LatentDecoder([3] * len(strides), strides, **SMALL)
    maps = [torch.randn(1, 3, 64 // stride, 96 // stride) for stride in strides]
    output = decoder(maps)
    assert output.shape == (1, 1, 64, 96)
    output.square().mean().backward()
    assert all(value.grad is not None for value in decoder.parameters())
    with pytest.raises(ConfigError, match="C83"):
        LatentDecoder([3], [4], spatial_dims=3)


def test_the_two_stages_agree_about_an_edge_map(tmp_path):
    network, drawing = first_stage().eval(), torch.rand(1, 1, 12, 16)
    (tmp_path / "model.safetensors").write_bytes(weights.pack(network.state_dict()))
    both = whole(tmp_path)
    assert both.trained
    assert (both.stride, both.latent_channels) == (2, 2)
    posterior = both.encode(drawing)
    assert isinstance(posterior, Posterior)
    with torch.no_grad():
        torch.testing.assert_close(both.decode(posterior.mean), network(drawing)["drawn"])
    assert not any(value.requires_grad for value in both.parameters())


@pytest.mark.parametrize("place", ["model.safetensors", "bundle/model.safetensors", "checkpoints/best.ckpt"])
def test_weights_are_found_in_a_run_a_bundle_and_a_file(tmp_path, place):
    state, file = first_stage(1).state_dict(), tmp_path / place
    file.parent.mkdir(exist_ok=True)
    if file.suffix == ".ckpt":
        save_checkpoint({"state_dict": {f"network.{name}": value for name, value in state.items()}}, file)
    else:
        file.write_bytes(weights.pack(state))
    for path in (file, tmp_path, str(tmp_path)):
        both = whole(path)
        assert torch.equal(both.state_dict()["encoder.layers.0.weight"], state["encoder.layers.0.weight"])
        assert torch.equal(both.decoder.moments[0].bias, state["tasks.drawn.decoder.moments.0.bias"])


def test_without_weights_it_is_filled_later(tmp_path):
    empty, full = whole(), whole()
    assert not empty.trained
    torch.nn.ModuleList([empty]).load_state_dict({f"0.{name}": value for name, value in full.state_dict().items()})
    assert empty.trained
    (tmp_path / "both.safetensors").write_bytes(weights.pack(full.state_dict()))
    assert torch.equal(whole(tmp_path / "both.safetensors").decoder.layers[0].weight, full.decoder.layers[0].weight)


@pytest.mark.parametrize("given", ["head alone", "one is missing", "one has another shape", "all"])
def test_it_is_trained_only_where_every_tensor_of_its_own_was_found(tmp_path, given):
    old, new = (torch.nn.ModuleDict({"head": torch.nn.Linear(2, 3), "both": whole()}) for _ in range(2))
    state = old.state_dict()
    last = list(state)[-1]
    if given == "head alone":
        state = {name: value for name, value in state.items() if name.startswith("head.")}
    if given == "one is missing":
        del state[last]
    if given == "one has another shape":
        state[last] = torch.zeros(7)
    (tmp_path / "model.safetensors").write_bytes(weights.pack(state))
    start_from(new, tmp_path)
    assert new["both"].trained == (given == "all")
    assert torch.equal(new["head"].weight, old["head"].weight)
    new["both"].load_state_dict({}, strict=False)
    assert new["both"].trained == (given == "all")  # what is trained stays so


def test_mistakes_are_named(tmp_path):
    file = tmp_path / "model.safetensors"
    with pytest.raises(ConfigError, match=r"C157.*holds no weights"):
        whole(tmp_path)
    with pytest.raises(ConfigError, match=r"C157.*no such file"):
        whole(tmp_path / "none")
    file.write_bytes(weights.pack(first_stage().state_dict()))
    for options in ({"width": 16}, {"blocks": 2}, {"latent_channels": 3}, {"multipliers": (1, 2, 4)}):
        with pytest.raises(ConfigError, match="C158"):
            whole(tmp_path, **options)
    file.write_bytes(weights.pack({"other": torch.zeros(2)}))
    with pytest.raises(ConfigError, match="C158"):
        whole(file)
    torch.save({"decoder": pytest.raises}, tmp_path / "code.pth")
    with pytest.raises(UnsafeFileError, match="U20"):
        whole(tmp_path / "code.pth")
