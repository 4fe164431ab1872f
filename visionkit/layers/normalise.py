"""Normalisation of the image by the statistics that a network expects."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in 0..1 over the training pictures of ImageNet."""


class Normalise(nn.Module):
    """``(image - mean) / std`` for each channel; the statistics are saved with the weights.

    Args:
        in_chans: channels of the image; where they are not as many as the statistics, each gets their mean.
        mean, std: statistics of images in 0..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, in_chans: int = 3, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
    ) -> None:
        super().__init__()
        self.register_buffer("mean", per_channel(mean, in_chans))
        self.register_buffer("std", per_channel(std, in_chans))

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The image with about mean 0 and deviation 1."""
        return (image - self.mean) / self.std


def per_channel(values: Sequence[float], in_chans: int) -> Float[Tensor, "c 1 1"]:
    """One value for each channel: those given, or their mean throughout where the numbers of channels differ."""
    values = values if len(values) == in_chans else [sum(values) / len(values)] * in_chans
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
