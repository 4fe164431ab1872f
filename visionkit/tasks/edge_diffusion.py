"""Edge detection by diffusion: the edges of a picture are sampled, crisp, from noise."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from visionkit.tasks.edge_truth import known_target
from visionkit.tasks.edges import EdgeDetection
from visionkit.types import Batch, Features, Prediction


class EdgeDiffusion(EdgeDetection):
    """Edge detection whose decoder samples probabilities, and learns by taking noise from drawn edges.

    Arguments and errors are those of ``EdgeDetection``, but ``side_weight`` has no meaning. The decoder has
    ``denoise(features, target) -> Denoising``; losses are called with that (see ``losses.diffusion``).
    """

    def loss(self, features: Features, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Every term that is switched on, times its weight."""
        decoder: Any = self.decoder
        denoising = decoder.denoise(features, known_target(batch, self.truth))
        return {name: loss.weight * loss(denoising) for name, loss in self.losses.items()}

    def decide(self, outputs: Float[Tensor, "b 1 h w"], batch: Batch) -> Prediction:
        """The probability of an edge, as it was sampled."""
        return {"edges": outputs[:, 0].to(torch.promote_types(outputs.dtype, torch.float32)).clamp(0, 1)}
