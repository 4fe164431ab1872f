"""Losses of a variational autoencoder of edge maps: terms ``(posterior, found, target) -> scalar``.

The likelihood is a mean over the known pixels of all samples, the divergence a sum for each pixel, known or not. Where
all are known they differ from what was released, sums over each sample, by the number of pixels alone. The released
perceptual (LPIPS) and adversarial terms are not among them.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.layers.latent import Posterior


class Likelihood(nn.Module):
    """Negative logarithm of the likelihood of the edge map, with a variance that is learnt (Esser et al. 2021).

    ``(|error| + error^2) / exp(s) + s`` with the errors of maps in -1..1.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.log_variance = nn.Parameter(torch.zeros(()))

    def forward(
        self, posterior: Posterior, found: Float[Tensor, "b h w"], target: Float[Tensor, "b h w"]
    ) -> Float[Tensor, ""]:
        """The unweighted term; 0 where nothing is known."""
        known = target >= 0
        error = 2 * (found.to(torch.promote_types(found.dtype, torch.float32)) - target)
        terms = (error.abs() + error.square()) / self.log_variance.exp() + self.log_variance
        return (terms * known).sum() / known.sum().clamp(min=1)


class Divergence(nn.Module):
    """Divergence of the latent from the standard normal distribution."""

    def __init__(self, weight: float = 1e-6) -> None:
        super().__init__()
        self.weight = weight

    def forward(
        self, posterior: Posterior, found: Float[Tensor, "b h w"], target: Float[Tensor, "b h w"]
    ) -> Float[Tensor, ""]:
        """The unweighted term, in nats for each pixel."""
        return posterior.divergence().sum() / found.numel()
