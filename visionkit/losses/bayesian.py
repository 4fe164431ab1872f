"""The Bayesian loss of counting: supervision by points, without a density map (Ma et al. 2019, arXiv 1908.03684)."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.losses.density_targets import Crowds, neighbour_distance

_AT_ONCE = 2**22
"""Distances from points to cells that are held at a time, which bounds the memory of whole pictures."""


def inclusion(
    points: Float[Tensor, "n 2"], size: Sequence[int], sides_px: tuple[float, float] = (4.0, 128.0)
) -> Float[Tensor, " n"]:
    """Of the square around each point the share that lies in the picture.

    Its side is the mean distance to the three nearest points, within ``sides_px``.
    """
    distance = neighbour_distance(points.detach().cpu().double().numpy(), 3)
    half = points.new_tensor(np.clip(distance, *sides_px))[:, None] / 2
    extent = points.new_tensor(list(size)).flip(0)
    within = torch.minimum(points + half, extent) - (points - half).clamp(min=0)
    return (within.clamp(min=0) / (2 * half)).prod(1)


def expected_counts(
    density: Float[Tensor, "rows columns"],
    points: Float[Tensor, "n 2"],
    stride: Sequence[int],
    sigma_px: float,
    background_px: float | None,
) -> Float[Tensor, " m"]:
    """The density that falls to each point, and last to the background unless ``background_px`` is None.

    A cell's density is shared by the posterior of its middle, for points as Gaussians of ``sigma_px`` and a background
    at the distance ``background_px`` on the far side of the nearest point (equations 6 to 14).
    """
    rows, columns = (
        (torch.arange(n, device=points.device) + 0.5) * s for n, s in zip(density.shape, stride, strict=True)
    )
    counts = density.new_zeros(len(points) + (background_px is not None))
    step = max(1, _AT_ONCE // (len(points) * len(columns)))
    for part, y in zip(density.split(step), rows.split(step), strict=True):
        distance = (points[:, 1, None] - y).square()[:, :, None] + (points[:, 0, None] - columns).square()[:, None]
        if background_px is not None:
            beyond = (background_px - distance.amin(0, keepdim=True).sqrt()).square()
            distance = torch.cat([distance, beyond])
        posterior = (distance / (-2 * sigma_px**2)).softmax(0)
        counts = counts + (posterior * part).sum((1, 2))
    return counts


class BayesianLoss(nn.Module):
    """Absolute difference between what falls to each point and the share of the point that the picture holds.

    What falls to the background should be nothing; in a picture without points that is the whole density.

    The loss sees what augmentation leaves, mostly a crop. Published training knows more: a point's neighbours beyond
    the crop, and the shorter side of the whole picture, at which the background is.

    Args:
        weight: in the task's loss.
        sigma_px: deviation of the points.
        background: distance of the background as a share of the shorter side of what the loss sees.
        background_px: this distance in pixels instead, about the shorter side of the data's whole pictures. Where both
            are None there is no background.
        least: points of which the picture holds a smaller share are left out.
    """

    channels: ClassVar[int] = 1

    def __init__(
        self,
        weight: float = 1.0,
        sigma_px: float = 8.0,
        background: float | None = 1.0,
        least: float = 0.3,
        background_px: float | None = None,
    ) -> None:
        super().__init__()
        self.weight, self.sigma_px, self.least = weight, sigma_px, least
        self.background, self.background_px = background, background_px

    def forward(self, maps: Float[Tensor, "b k rows columns"], crowds: Crowds) -> Float[Tensor, ""]:
        """The unweighted term, a mean over pictures."""
        density = maps[:, 0].to(torch.promote_types(maps.dtype, torch.float32)) * crowds.real()
        return torch.stack(list(self._each(density, crowds))).mean()

    def _each(self, density: Float[Tensor, "b rows columns"], crowds: Crowds) -> Iterator[Float[Tensor, ""]]:
        for own, points, size in zip(density, crowds.points, crowds.sizes, strict=True):
            shares = inclusion(points, size)
            kept = shares >= self.least
            if not kept.any():
                yield own.sum().abs()
                continue
            points, shares = points[kept].to(own), shares[kept].to(own)
            counts = expected_counts(own, points, crowds.stride, self.sigma_px, self._away(size))
            missing = (shares - counts[: len(shares)]).abs().sum()
            yield missing + counts[len(shares) :].abs().sum()

    def _away(self, size: Sequence[int]) -> float | None:
        """Distance of the background in pixels; None without one."""
        if self.background is None or self.background_px is not None:
            return self.background_px
        return self.background * min(size)
