"""Whole-picture procedures for densities: counts add up, whatever happens to the picture's size."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.layers.mass import resize_mass
from visionkit.types import Dense, Inference


@dataclass(frozen=True)
class FitToGrid:
    """Resizes the picture so that nothing needs to be padded, and brings the density back with its sum.

    As in published tests, which resize to the nearest multiple of 16; every cell of the decoder then counts.

    Args:
        multiple: of which height and width are made, the encoder's coarsest stride or a multiple of it.
        scale: factor of the size before that.
        inner: procedure for the resized picture, such as SlidingWindow with windows of such multiples; null for the
            whole picture at once.

    Raises ConfigError C135 for numbers that are not positive.
    """

    multiple: int = 32
    scale: float = 1.0
    inner: Inference | None = None

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.scale <= 0:
            what = f"a multiple of {self.multiple} and a scale of {self.scale} make no size"
            raise ConfigError("C135", "task.inference", what, "give positive numbers, such as 32 and 1.0")

    def __call__(self, dense: Dense, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Objects a pixel of the given picture."""
        size = tuple(image.shape[2:])
        fitting = tuple(self.multiple * max(1, round(length * self.scale / self.multiple)) for length in size)
        if fitting == size:
            return self._run(dense, image)
        if image.dtype == torch.uint8:  # bytes cannot be resized without rounding
            image = image.float() / 255
        density = self._run(dense, F.interpolate(image, size=fitting, mode="bilinear", antialias=True))
        return resize_mass(density.to(torch.promote_types(density.dtype, torch.float32)), size)

    def _run(self, dense: Dense, image: Tensor) -> Tensor:
        return dense(image) if self.inner is None else self.inner(dense, image)
