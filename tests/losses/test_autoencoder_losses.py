import pytest
import torch

from visionkit.layers.latent import Posterior
from visionkit.losses.autoencoder import Divergence, Likelihood


def make() -> tuple[Posterior, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    posterior = Posterior.of(torch.randn(2, 6, 2, 3, dtype=torch.float64))
    return posterior, torch.rand(2, 8, 12, dtype=torch.float64), torch.rand(2, 8, 12, dtype=torch.float64)


def test_of_whole_maps_they_are_the_released_sums_over_the_pixels():
    posterior, found, target = make()
    likelihood = Likelihood().double()
    likelihood.log_variance.data.fill_(0.4)
    error = (2 * found - 1) - (2 * target - 1)
    sums = ((error.abs() + error**2) / torch.tensor(0.4).double().exp() + 0.4).sum((1, 2))
    torch.testing.assert_close(likelihood(posterior, found, target), (sums / 96).mean(), rtol=1e-6, atol=0)
    mean, variance = posterior.mean, posterior.log_variance.exp()
    sums = 0.5 * (mean**2 + variance - 1 - variance.log()).sum((1, 2, 3))
    torch.testing.assert_close(Divergence()(posterior, found, target), (sums / 96).mean())


def test_the_variance_is_learnt():
    posterior, found, target = make()
    loss = Likelihood().double()
    loss(posterior, found, target).backward()
    error = 2 * (found - target)
    torch.testing.assert_close(loss.log_variance.grad, 1 - (error.abs() + error**2).mean())


@pytest.mark.parametrize("unknown", [(slice(None), slice(0, 3)), (0,), (slice(None),)])
def test_unknown_pixels_say_nothing(unknown):
    posterior, found, target = make()
    target[unknown] = -1
    before = Likelihood()(posterior, found, target)
    found[unknown] = 9
    assert torch.isfinite(before)
    assert torch.equal(Likelihood()(posterior, found, target), before)
