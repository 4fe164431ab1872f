import pytest
import torch

from visionkit.decoders.diffusion.unet import DiffusionUNet
from visionkit.errors import ConfigError


def make(channels=(4, 6, 8), strides=(4, 8, 16), **options) -> DiffusionUNet:
    torch.manual_seed(0)
    return DiffusionUNet(channels, strides, **{"width": 8, "multipliers": (1, 2, 2), "grid": (4, 4), **options})


def features(channels, strides, height=64, width=96):
    return [torch.randn(2, c, height // s, width // s) for c, s in zip(channels, strides, strict=True)]


def test_parameters_of_the_published_denoiser():
    with torch.device("meta"):
        unet = DiffusionUNet((128, 256, 512, 1024), (4, 8, 16, 32))
    # Counted from the released code without its image encoder; there 64 fixed frequencies are parameters, too.
    assert sum(value.numel() for value in unet.parameters()) == 137_142_214 - 64


@pytest.mark.parametrize(
    ("channels", "strides"),
    [((4, 6, 8), (4, 8, 16)), ((4,), (4,)), ((4, 6), (2, 32)), ((4, 6, 8, 9, 7), (2, 4, 8, 16, 32)), ((5,), (16,))],
)
def test_any_encoder_conditions_it(channels, strides):
    unet = make(channels, strides).eval()
    condition = unet.condition(features(channels, strides))
    assert condition.first.shape[2:] == (16, 24)
    assert [guide.shape[1:] for guide in condition.maps] == [(8, 16, 24), (8, 8, 12), (16, 4, 6)]
    latent = torch.randn(2, 3, 16, 24)
    with torch.no_grad():
        drift, noise = unet(latent, torch.tensor([1e-4, 1.0]), condition)
    assert drift.shape == noise.shape == latent.shape
    assert torch.isfinite(drift).all()
    torch.testing.assert_close(noise[1], latent[1])  # at time 1 nothing but noise is there
    torch.testing.assert_close(drift[0], latent[0], rtol=1e-2, atol=1e-2)  # at time 0 nothing but the drift


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (9, 17)])
def test_maps_that_do_not_halve_are_padded(size):
    unet = make((4, 6), (4, 8)).eval()
    height, width = size
    maps = [torch.randn(1, 4, height, width), torch.randn(1, 6, -(-height // 2), -(-width // 2))]
    condition = unet.condition(maps)
    rows, columns = condition.first.shape[2:]
    assert rows >= max(8, height)
    assert columns >= max(8, width)
    assert rows % 4 == columns % 4 == 0
    torch.testing.assert_close(condition.first[:, :, :height, :width], maps[0])
    with torch.no_grad():
        drift, _ = unet(torch.randn(1, 3, rows, columns), torch.tensor([0.5]), condition)
    assert torch.isfinite(drift).all()


def test_every_parameter_learns():
    unet = make().train()
    maps = [x.requires_grad_() for x in features((4, 6, 8), (4, 8, 16))]
    drift, noise = unet(torch.randn(2, 3, 16, 24), torch.tensor([0.2, 0.9]), unet.condition(maps))
    (drift.square().mean() + noise.square().mean()).backward()
    assert [name for name, value in unet.named_parameters() if value.grad is None] == []
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in maps)


def test_mistakes_are_named():
    for options, code in (({"width": 12}, "C156"), ({"grid": (5, 5)}, "C155"), ({"spatial_dims": 3}, "C83")):
        with pytest.raises(ConfigError) as caught:
            make(**options)
        assert caught.value.code == code
