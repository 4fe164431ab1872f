"""Losses of density maps: terms ``(maps b k rows columns, crowds) -> scalar``.

The first channel of the maps is the density in objects a cell, the second, where there is one, the logit of being near
an object. Cells without a pixel of the picture are left out. Sums are over cells and objects, means over pictures.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.layers.mass import gathered
from visionkit.losses.density_targets import Crowds, FixedKernel, Kernel


class SquaredDensity(nn.Module):
    """Squared difference to the density map, summed over cells (SFANet, Zhu et al. 2019, equation 4).

    Args:
        weight: in the task's loss.
        kernel: of the density map; a fixed deviation of 5 px by default.
    """

    channels: ClassVar[int] = 1

    def __init__(self, weight: float = 1.0, kernel: Kernel | None = None) -> None:
        super().__init__()
        self.weight, self.kernel = weight, kernel or FixedKernel()

    def forward(self, maps: Float[Tensor, "b k rows columns"], crowds: Crowds) -> Float[Tensor, ""]:
        """The unweighted term."""
        difference = _exact(maps[:, 0]) - crowds.density(self.kernel)
        return (difference.square() * crowds.real()).sum() / len(maps)


class Attention(nn.Module):
    """Binary cross entropy of being near an object, summed over cells (SFANet, Zhu et al. 2019, equation 5).

    Args:
        weight: in the task's loss.
        kernel: of the map that says where objects are; a fixed deviation of 5 px by default.
        threshold: near is where that map has more objects a pixel. Cells of several pixels have their share.
    """

    channels: ClassVar[int] = 2

    def __init__(self, weight: float = 0.1, kernel: Kernel | None = None, threshold: float = 0.001) -> None:
        super().__init__()
        self.weight, self.kernel, self.threshold = weight, kernel or FixedKernel(), threshold

    def forward(self, maps: Float[Tensor, "b k rows columns"], crowds: Crowds) -> Float[Tensor, ""]:
        """The unweighted term."""
        near = crowds.near(self.kernel, self.threshold)
        entropy = F.binary_cross_entropy_with_logits(_exact(maps[:, 1]), near, reduction="none")
        return (entropy * crowds.real()).sum() / len(maps)


class LocalCounts(nn.Module):
    """Absolute difference of the counts in squares of several sizes, in the manner of DSNet (Dai et al. 2019).

    For each size the differences are summed over the picture, so that the unit is objects; sizes are averaged. A square
    as large as the picture is the error of the count itself.

    Args:
        weight: in the task's loss.
        sides: of the squares in cells of the decoder's map.
        kernel: of the density map; a fixed deviation of 5 px by default.

    Raises ConfigError C136 where there are no sides or one is not positive.
    """

    channels: ClassVar[int] = 1

    def __init__(self, weight: float = 1.0, sides: Sequence[int] = (1, 4, 16), kernel: Kernel | None = None) -> None:
        super().__init__()
        if not sides or min(sides) < 1:
            raise ConfigError("C136", "losses.local_counts.sides", f"{list(sides)} are no sides", "give [1, 4, 16]")
        self.weight, self.sides, self.kernel = weight, tuple(sides), kernel or FixedKernel()

    def forward(self, maps: Float[Tensor, "b k rows columns"], crowds: Crowds) -> Float[Tensor, ""]:
        """The unweighted term."""
        difference = (_exact(maps[:, 0]) - crowds.density(self.kernel)) * crowds.real()
        errors = torch.stack([gathered(difference, side).abs().sum() for side in self.sides])
        return errors.mean() / len(maps)


def _exact(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
