"""Sampling and learning as a decoder, over an autoencoder that knows nothing."""

from functools import partial

import pytest
import torch

from visionkit.decoders.autoencoder import EdgeAutoencoder, LatentDecoder
from visionkit.decoders.diffusion.latent import LatentDiffusion
from visionkit.decoders.diffusion.unet import DiffusionUNet
from visionkit.encoders.edge_autoencoder import EdgeAutoencoderEncoder
from visionkit.errors import ConfigError
from visionkit.generation.decoupled_diffusion import noised

SMALL = {"width": 8, "blocks": 1}
DENOISER = partial(DiffusionUNet, width=8, multipliers=(1, 2), grid=(4, 4))


def make(**options) -> LatentDiffusion:
    torch.manual_seed(0)
    autoencoder = EdgeAutoencoder(EdgeAutoencoderEncoder(**SMALL), partial(LatentDecoder, **SMALL))
    return LatentDiffusion((5,), (4,), 2, autoencoder, DENOISER, **{"steps": 2, **options}).eval()


def features(count: int = 2, height: int = 4, width: int = 6) -> list[torch.Tensor]:
    return [torch.randn(count, 5, height, width, generator=torch.Generator().manual_seed(1))]


@torch.no_grad()
def test_the_same_picture_gives_the_same_bits():
    decoder = make()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = decoder(features())
    torch.randn(10)
    assert torch.equal(decoder(features()), first)
    torch.manual_seed(3)
    decoder(features())
    assert torch.equal(torch.get_rng_state(), before)  # nothing was drawn from what training draws from
    assert first.shape == (2, 1, 16, 24)
    assert 0 <= first.min() <= first.max() <= 1


@torch.no_grad()
def test_a_picture_does_not_depend_on_its_batch():
    decoder, maps = make(), features(3)
    together = decoder(maps)
    for index in range(3):
        torch.testing.assert_close(decoder([x[index : index + 1] for x in maps]), together[index : index + 1])


@torch.no_grad()
def test_seed_steps_and_the_last_step_change_what_is_sampled():
    usual = make()(features())
    for options in ({"seed": 1}, {"steps": 3}, {"split_last": False}):
        assert not torch.equal(make(**options)(features()), usual)


@torch.no_grad()
def test_the_denoiser_is_asked_once_for_each_time():
    decoder, seen = make(steps=5), []
    decoder.denoiser.register_forward_pre_hook(lambda _, args: seen.append(float(args[1][0])))
    decoder(features())
    assert seen == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 1e-4])


def test_what_is_learnt_from_follows_the_equations():
    decoder = make().eval()
    target = torch.rand(2, 16, 24).round()
    step = decoder.denoise(features(), target)
    posterior = decoder.autoencoder.encode(target[:, None])
    assert step.clean.shape == step.noise.shape == (2, 3, 4, 6)
    deviations = (step.clean / 0.3 - posterior.mean) / (0.5 * posterior.log_variance).exp()
    assert deviations.abs().max() < 6
    noisy = noised(step.clean, step.noise, step.time)
    drift, noise = decoder.denoiser(noisy, step.time, decoder.denoiser.condition(features()))
    torch.testing.assert_close(step.found_drift, drift)
    torch.testing.assert_close(step.found_noise, noise)
    t = step.time.view(-1, 1, 1, 1)
    torch.testing.assert_close(step.found_clean, noisy - t * drift - t.sqrt() * noise)
    assert ((step.time >= 1e-4) & (step.time <= 1)).all()
    torch.testing.assert_close(step.decode(0.3 * posterior.mean), decoder.autoencoder.decode(posterior.mean))


def test_the_loss_is_stateless_in_evaluation_and_random_in_training():
    decoder, target = make(), torch.zeros(2, 16, 24)
    first, second = (decoder.denoise(features(), target) for _ in range(2))
    assert torch.equal(first.noise, second.noise)
    assert torch.equal(first.time, second.time)
    decoder.train()
    first, second = (decoder.denoise(features(), target) for _ in range(2))
    assert not torch.equal(first.noise, second.noise)
    torch.manual_seed(5)
    first = decoder.denoise(features(), target)
    torch.manual_seed(5)
    assert torch.equal(decoder.denoise(features(), target).noise, first.noise)


def test_what_is_unknown_or_beyond_the_picture_is_ground_that_says_nothing():
    decoder = make()
    target = torch.ones(2, 14, 21)
    target[0, :, :8] = -1
    step = decoder.denoise(features(), target)
    assert step.target.shape == (2, 16, 24)
    assert (step.target[:, 14:] == -1).all()
    assert (step.target[:, :, 21:] == -1).all()
    assert step.known[0, 0, 0].tolist() == [0, 0, 1, 1, 1, 0.25]
    assert step.known[1, 0, 3].tolist() == [0.5, 0.5, 0.5, 0.5, 0.5, 0.125]


def test_the_autoencoder_stays_as_it_is():
    decoder = make().train()
    step = decoder.denoise(features(), torch.zeros(2, 16, 24))
    (step.decode(step.found_clean).mean() + step.found_drift.mean() + step.found_noise.mean()).backward()
    assert all(value.grad is None for value in decoder.autoencoder.parameters())
    assert all(value.grad is not None for value in decoder.denoiser.parameters())


DTYPES = [(torch.bfloat16, torch.float32, 0.15), (torch.float64, torch.float64, 1e-4)]


@pytest.mark.parametrize(("dtype", "precision", "tolerance"), DTYPES)
def test_weights_of_another_precision_sample_the_same(dtype, precision, tolerance):
    decoder, usual = make().to(dtype), make()
    maps = [x.to(dtype) for x in features()]
    with torch.no_grad():
        found, wanted = decoder(maps), usual(features())
    assert found.dtype == dtype
    assert (found.double() - wanted).abs().mean() < tolerance
    target = torch.zeros(2, 16, 24)
    with torch.no_grad():
        step, like = decoder.denoise(maps, target), usual.denoise(features(), target)
    for name in ("clean", "found_drift", "found_noise", "found_clean"):
        value = getattr(step, name)
        assert value.dtype == precision
        assert (value - getattr(like, name)).abs().mean() < tolerance


@pytest.mark.parametrize(("dtype", "precision", "tolerance"), DTYPES)
def test_weights_of_another_precision_learn(dtype, precision, tolerance):
    decoder = make().to(dtype).train()
    step = decoder.denoise([x.to(dtype) for x in features()], torch.zeros(2, 16, 24))
    (step.decode(step.found_clean).mean() + step.found_drift.mean() + step.found_noise.mean()).backward()
    gradients = [value.grad for value in decoder.denoiser.parameters()]
    assert all(grad.dtype == dtype and torch.isfinite(grad).all() for grad in gradients)


def test_learning_without_weights_is_refused_or_said_once(capsys):
    with pytest.raises(ConfigError) as caught:
        make(require_weights=True).train().denoise(features(), torch.zeros(2, 16, 24))
    assert caught.value.code == "C160"
    decoder = make().train()
    for _ in range(2):
        decoder.denoise(features(), torch.zeros(2, 16, 24))
    assert capsys.readouterr().err.count("no trained weights") == 1
    make(require_weights=True).denoise(features(), torch.zeros(2, 16, 24))
    with pytest.raises(ConfigError) as caught:
        make(steps=0)
    assert caught.value.code == "C159"
