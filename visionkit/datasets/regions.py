"""BSDS500 with two labels on each picture: the annotators' edges, and how large the region of each pixel is."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from visionkit.datasets.bsds import BSDS
from visionkit.datasets.matlab import read_variable
from visionkit.errors import DataError
from visionkit.labels import Classes
from visionkit.types import Sample

_SHARES = (0.01, 0.05, 0.2)
_CLASSES = Classes(("detail", "object", "area", "ground"), ((213, 94, 0), (230, 159, 0), (86, 180, 233), (0, 114, 178)))


class BSDSRegions(BSDS):
    """Edges as in ``BSDS``, and as a mask the size of the region that one annotator sees at each pixel.

    The segmentations of BSDS500 have no classes. What can be learnt of them beside their borders is how large a
    region is: ``detail`` up to 1 % of the picture, ``object`` up to 5 %, ``area`` up to 20 %, ``ground`` above. The
    annotator is the one with the median number of regions. Arguments and errors as of ``BSDS``.
    """

    further_labels: ClassVar = {"mask": _CLASSES}

    def examine(self, index: int) -> tuple[Sample, list[DataError]]:
        """What can be read of a sample (image, edges of all annotators, mask of one), and every fault of its files."""
        sample, errors = super().examine(index)
        file = self._pairs[index].mask
        if file is not None and not errors:
            try:
                sample["mask"] = region_sizes(file)
            except DataError as error:
                errors.append(error)
        return sample, errors


def region_sizes(path: Path) -> Int64[Tensor, "h w"]:
    """Class of each pixel's region by its share of the picture.

    Raises DataError: D81 where there are no segmentations, others as ``read_variable``.
    """
    fix = "take dataset=bsds500, which needs the edges alone"
    cells = read_variable(path, "groundTruth", fix).ravel()
    if not all("Segmentation" in (getattr(cell.dtype, "names", None) or ()) for cell in cells):
        raise DataError("D81", path, "has an annotator without a segmentation", fix)
    maps = sorted((cell["Segmentation"].ravel()[0] for cell in cells), key=lambda regions: int(regions.max()))
    regions = maps[len(maps) // 2].astype(np.int64)
    shares = np.bincount(regions.ravel()) / regions.size
    return torch.from_numpy(np.digitize(shares, _SHARES, right=True)[regions].astype(np.int64))
