"""Losses of decoupled diffusion: terms ``(denoising) -> scalar``; cells where the target is unknown are left out."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.generation.decoupled_diffusion import Denoising, drift_weight, noise_weight

_TINY = 1e-6


def known_mean(error: Float[Tensor, "b c h w"], known: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b"]:
    """Mean over channels and cells of each sample, a cell weighing as much as is known of it; 0 where nothing is."""
    total = (error.mean(1, keepdim=True) * known).sum((1, 2, 3))
    return total / known.sum((1, 2, 3)).clamp(min=_TINY)


class DriftAndNoise(nn.Module):
    """Squared errors of drift and noise, each by its weight at the time (Ye et al. 2024, with the released weights).

    Args:
        weight: of the term.
        absolute: the mean of squared and absolute errors instead, as was released.
    """

    def __init__(self, weight: float = 1.0, absolute: bool = True) -> None:
        super().__init__()
        self.weight, self.absolute = weight, absolute

    def forward(self, denoising: Denoising) -> Float[Tensor, ""]:
        """The unweighted term, a mean over the samples."""
        time = denoising.time
        drift = self._error(denoising.found_drift, -denoising.clean, denoising.known)
        noise = self._error(denoising.found_noise, denoising.noise, denoising.known)
        return (drift_weight(time) * drift + noise_weight(time) * noise).mean()

    def _error(self, found: Tensor, wanted: Tensor, known: Tensor) -> Float[Tensor, "b"]:
        difference = found - wanted
        error = difference.square()
        return known_mean((error + difference.abs()) / 2 if self.absolute else error, known)


class Restoration(nn.Module):
    """Absolute error of the restored clean map, by ``(1 - t)^2``: of each sample its own, not of the batch's mean."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, denoising: Denoising) -> Float[Tensor, ""]:
        """The unweighted term, a mean over the samples."""
        error = known_mean((denoising.found_clean - denoising.clean).abs(), denoising.known)
        return (torch.square(1 - denoising.time) * error).mean()
