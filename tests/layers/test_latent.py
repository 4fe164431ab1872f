import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from visionkit.layers.latent import LatentAttention, LatentResidual, Posterior, latent_norm


def test_posterior_is_the_normal_distribution_of_its_moments():
    moments = torch.randn(2, 6, 4, 5, dtype=torch.float64)
    posterior = Posterior.of(moments)
    normal = Normal(moments[:, :3], (moments[:, 3:] / 2).exp())
    wanted = kl_divergence(normal, Normal(torch.zeros_like(normal.mean), torch.ones_like(normal.mean)))
    torch.testing.assert_close(posterior.divergence(), wanted)
    noise = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close((posterior.at(noise) - normal.mean) / normal.stddev, noise)


def test_variances_stay_finite():
    posterior = Posterior.of(torch.tensor([0.0, 0.0, 1e4, -1e4]).view(1, 4, 1, 1))
    assert posterior.log_variance.flatten().tolist() == [20, -30]
    assert torch.isfinite(posterior.divergence()).all()


def test_residual_and_attention_are_shortcuts_where_they_add_nothing():
    image = torch.randn(2, 8, 5, 3)
    block, attention = LatentResidual(8, 8), LatentAttention(8)
    nn.init.zeros_(block.second[2].weight), nn.init.zeros_(block.second[2].bias)
    nn.init.zeros_(attention.out.weight), nn.init.zeros_(attention.out.bias)
    assert torch.equal(block(image), image)
    assert torch.equal(attention(image), image)


def test_attention_as_written():
    layer, image = LatentAttention(8), torch.randn(2, 8, 3, 5)
    normed = layer.norm(image)
    q, k, v = (part(normed).flatten(2) for part in (layer.query, layer.key, layer.value))
    weights = (torch.einsum("bcn,bcm->bnm", q, k) / 8**0.5).softmax(2)
    found = torch.einsum("bnm,bcm->bcn", weights, v).unflatten(2, (3, 5))
    torch.testing.assert_close(layer(image), image + layer.out(found))


def test_groups_divide_the_channels():
    assert [latent_norm(channels).num_groups for channels in (128, 16, 48, 6)] == [32, 16, 16, 2]
