"""Uncertainty distillation: what the annotators doubt weighs less, and the decoded edges teach the latent."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.generation.decoupled_diffusion import Denoising


def doubt_weights(
    target: Float[Tensor, "b h w"], doubtful: float = 0.3, negative: float = 1.1
) -> Float[Tensor, "b h w"]:
    """Weight of each pixel by what the annotators say of it (Ye et al. 2024, uncertainty-aware loss, as released).

    With n pixels that are surely an edge (1) or surely ground (0), counted over the batch, an edge weighs
    ``n_ground / n`` and ground ``negative * n_edge / n``; a share up to ``doubtful`` weighs 0, any other its own value.
    What is unknown (-1) weighs 0.
    """
    edge, ground = target == 1, target == 0
    count = (edge.sum() + ground.sum()).clamp(min=1)
    weights = target.masked_fill(target <= doubtful, 0.0)
    weights = torch.where(edge, ground.sum() / count, weights)
    return torch.where(ground, negative * edge.sum() / count, weights)


def continued_log(probability: Float[Tensor, "*n"], least: float = 0.01) -> Float[Tensor, "*n"]:
    """The logarithm between ``least`` and 1; above it is 0, below it goes on along its tangent.

    So what a decoder gives outside 0..1 keeps a gradient that leads back, and no gradient exceeds ``1 / least``.
    """
    inside = probability.clamp(least, 1.0).log()
    return torch.where(probability < least, math.log(least) + (probability - least) / least, inside)


def constant_gradient(latent: Float[Tensor, "*n"], value: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """A scalar of this value, whose gradient is ``value / n`` for each of the ``n`` numbers of the latent."""
    value = value.detach()
    return value * (1 + (latent - latent.detach()).mean())


class DoubtDistillation(nn.Module):
    """Weighted cross entropy of the decoded edges, its gradient taken through the frozen decoder.

    Each sample weighs ``(1 - t)^2``. The logarithms are ``continued_log``.

    Args:
        weight: of the term.
        doubtful, negative: see ``doubt_weights``.
    """

    def __init__(self, weight: float = 1.0, doubtful: float = 0.3, negative: float = 1.1) -> None:
        super().__init__()
        self.weight, self.doubtful, self.negative = weight, doubtful, negative

    def forward(self, denoising: Denoising) -> Float[Tensor, ""]:
        """The unweighted term, a mean over samples and known pixels."""
        found, truth = self._pair(denoising)
        return self._mean(-truth * continued_log(found) - (1 - truth) * continued_log(1 - found), denoising)

    def _pair(self, denoising: Denoising) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
        """What is decoded, and what was drawn."""
        found = denoising.decode(denoising.found_clean)[:, 0]
        return found.to(torch.promote_types(found.dtype, torch.float32)), denoising.target.clamp(min=0)

    def _mean(self, entropy: Float[Tensor, "b h w"], denoising: Denoising) -> Float[Tensor, ""]:
        weights = doubt_weights(denoising.target, self.doubtful, self.negative)
        count = (denoising.target >= 0).sum((1, 2)).clamp(min=1)
        own = (weights * entropy).sum((1, 2)) / count
        return (torch.square(1 - denoising.time) * own).mean()


class ConstantDistillation(DoubtDistillation):
    """The same entropy, with probabilities clamped to 0..1, as the released code of DiffusionEdge takes its gradient.

    There the decoder takes no part in it: all numbers of the latent get one gradient, the term over their count. It
    has a size, but no direction. Cheaper, since nothing is remembered of the decoder.
    """

    def forward(self, denoising: Denoising) -> Float[Tensor, ""]:
        """The unweighted term."""
        with torch.no_grad():
            found, truth = self._pair(denoising)
            found = found.clamp(0, 1)
            # Logarithms from -100 on, as torch's binary_cross_entropy has them, which cannot be autocast.
            log_edge, log_ground = found.log().clamp(min=-100), torch.log1p(-found).clamp(min=-100)
            value = self._mean(-truth * log_edge - (1 - truth) * log_ground, denoising)
        return constant_gradient(denoising.found_clean, value)
