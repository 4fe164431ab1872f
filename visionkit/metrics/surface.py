"""Hausdorff distance of surfaces at a percentile (HD95), in mm where the voxels' spacing is known, else in voxels."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.ndimage import find_objects
from scipy.spatial import cKDTree
from torch import Tensor

from visionkit.metrics.cases import CaseMeans
from visionkit.metrics.conventions import Convention, Standard
from visionkit.metrics.overlap import diagonal
from visionkit.types import IGNORE_INDEX

Box = tuple[slice, ...]


def border(mask: Bool[np.ndarray, "*space"]) -> Bool[np.ndarray, "*space"]:
    """Voxels of a mask with a face on its outside, which is also beyond the array: the mask without its erosion."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        inside, along = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
        inside[1:] &= along[:-1]
        inside[:-1] &= along[1:]
        inside[[0, -1]] = False
    return mask & ~inner


def surface_distances(
    prediction: Bool[np.ndarray, "*space"], truth: Bool[np.ndarray, "*space"], spacing: Sequence[float]
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " t"]]:
    """From each surface voxel of one to the nearest of the other, predicted to true and back; neither is empty."""
    ours, theirs = border(prediction), border(truth)
    return _directed(ours, theirs, spacing), _directed(theirs, ours, spacing)


def hausdorff(
    prediction: Bool[np.ndarray, "*space"],
    truth: Bool[np.ndarray, "*space"],
    spacing: Sequence[float],
    percentile: float = 95.0,
    pooled: bool = True,
) -> float:
    """Distance between two surfaces in the unit of ``spacing``; NaN where one of the masks is empty.

    ``pooled`` takes the percentile of both directed lists together (medpy), else it is the larger of the two
    directed percentiles (MONAI). At 100 both are the Hausdorff distance itself.
    """
    if not prediction.any() or not truth.any():
        return math.nan
    lists = surface_distances(prediction, truth, spacing)
    if pooled:
        return float(np.percentile(np.concatenate(lists), percentile))
    return float(max(np.percentile(distances, percentile) for distances in lists))


class SurfaceDistance(CaseMeans):
    """``hd95`` and ``mean_hd95``: over cases, then over classes; that of the background is not computed (NaN).

    Args:
        num_classes: with the background.
        convention: what an empty class counts for; Standard by default.
        percentile, pooled: as of ``hausdorff``.
        use_spacing: False measures in voxels, as TransUNet does.
    """

    def __init__(
        self,
        num_classes: int,
        convention: Convention | None = None,
        percentile: float = 95.0,
        pooled: bool = True,
        use_spacing: bool = True,
    ) -> None:
        super().__init__(f"hd{percentile:g}", num_classes)
        self.convention = convention or Standard()
        self.percentile, self.pooled, self.use_spacing = percentile, pooled, use_spacing

    def of_case(
        self, prediction: Int64[Tensor, "*space"], target: Int64[Tensor, "*space"], spacing_mm: Sequence[float]
    ) -> list[float]:
        """Distance of each class."""
        spacing = spacing_mm if self.use_spacing else [1.0] * target.ndim
        length = diagonal(target, spacing)
        known = target != IGNORE_INDEX
        predicted, true = (mask.where(known, 0).cpu().numpy() for mask in (prediction, target))
        boxes = zip(*(find_objects(mask, max_label=self.num_classes - 1) for mask in (predicted, true)), strict=True)
        figures = [math.nan]
        for label, (ours, theirs) in enumerate(boxes, start=1):
            if ours is None or theirs is None:
                figures.append(self.convention(ours is not None, theirs is not None, length)[1])
                continue
            box = _union(ours, theirs)
            masks = predicted[box] == label, true[box] == label
            figures.append(hausdorff(*masks, spacing, self.percentile, self.pooled))
        return figures


def _union(first: Box, second: Box) -> Box:
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))


def _directed(
    source: Bool[np.ndarray, "*space"], target: Bool[np.ndarray, "*space"], spacing: Sequence[float]
) -> Float[np.ndarray, " n"]:
    """Voxels that both surfaces share are at distance 0, which spares most queries of a good prediction."""
    apart = ~target[source]
    distances = np.zeros(len(apart))
    if apart.any():
        tree = cKDTree(np.argwhere(target) * spacing, balanced_tree=False)
        distances[apart] = tree.query(np.argwhere(source & ~target) * spacing)[0]
    return distances
