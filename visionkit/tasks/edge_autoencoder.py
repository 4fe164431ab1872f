"""Learning to compress edge maps: the first stage of edge detection by diffusion."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from visionkit.tasks.edge_truth import known_target
from visionkit.tasks.edges import EdgeDetection
from visionkit.types import Batch, Features, Prediction


class EdgeAutoencoding(EdgeDetection):
    """Draws edge maps anew from the few numbers of a latent.

    The image is an edge map itself (``datasets.drawings``), and the encoder is the autoencoder's own, so that one run
    of this task trains both halves like any other encoder and decoder. With another encoder and pictures it is edge
    detection through a narrow latent. Arguments and errors are those of ``EdgeDetection``, but ``side_weight`` has no
    meaning. The decoder is a LatentDecoder; losses are called as those of ``losses.autoencoder`` are.
    """

    def loss(self, features: Features, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Every term that is switched on, times its weight; in training the latent is drawn, else it is the mean."""
        target = known_target(batch, self.truth)
        decoder: Any = self.decoder
        posterior = decoder.posterior(features)
        latent = posterior.at(torch.randn_like(posterior.mean)) if self.training else posterior.mean
        height, width = target.shape[1:]
        found = decoder.decode(latent)[:, 0, :height, :width]
        return {name: loss.weight * loss(posterior, found, target) for name, loss in self.losses.items()}

    def decide(self, outputs: Float[Tensor, "b 1 h w"], batch: Batch) -> Prediction:
        """The probability of an edge, as it was decoded."""
        return {"edges": outputs[:, 0].to(torch.promote_types(outputs.dtype, torch.float32)).clamp(0, 1)}
