"""TRANCOS: vehicles in traffic jams, seen by cameras above roads."""

import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from visionkit.datasets.images import read_image
from visionkit.datasets.matlab import read_variable
from visionkit.datasets.pairs import SPLITS, Pair
from visionkit.datasets.points import PointPairs
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Objects
from visionkit.layers.points import cells_of
from visionkit.types import Sample

_INSIDE = ("", "TRANCOS_v3", "TRANCOS")
_LISTS = {"train": "training.txt", "val": "validation.txt", "test": "test.txt"}
_EXPECTED = "it should hold BW, 1 where vehicles are counted"
_DOT = 200  # of 255: red pixels of a map of dots are at least so bright


class TRANCOS(PointPairs):
    """``images/image-1-000001.jpg`` with ``...dots.png`` and ``...mask.mat`` (Guerrero-Gomez-Olmedo et al. 2015).

    What lies outside the region that is counted is black, and vehicles there are left out.

    Args:
        root: the folder that holds ``images/`` and ``image_sets/``, or one that holds ``TRANCOS_v3/``.
        split: train, val or test, as in the lists of ``image_sets``.
        channels: 3 for colour, 1 for grey.
        region: false shows and counts everything.

    Raises:
        ConfigError: C52 unknown split.
        DataError: D20 another tree, D22 no pictures. Faults of single pictures (D24, D80, D81, D94 a region of another
            size, those of ``read_image``) are raised when the sample is read.
    """

    def __init__(self, root: str | Path, split: str, channels: int = 3, region: bool = True) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        home = next((Path(root) / name for name in _INSIDE if os.path.isdir(Path(root) / name / "image_sets")), None)
        listed = None if home is None else home / "image_sets" / _LISTS[split]
        if home is None or listed is None or not listed.is_file():
            what = f"there is no image_sets/{_LISTS[split]} in it"
            raise DataError("D20", root, what, "set dataset.root to the folder that holds TRANCOS_v3/ (data/README.md)")
        names = [line.strip() for line in listed.read_text().splitlines() if line.strip()]
        if not names:
            raise DataError("D22", listed, "lists no pictures", "get the dataset again")
        super().__init__([_pair(home / "images", name) for name in names], read_dots, Objects("vehicles"), channels)
        self.region = region

    def examine(self, index: int) -> tuple[Sample, list[DataError]]:
        """What can be read of a sample, and every fault of its files."""
        sample, errors = super().examine(index)
        if not self.region or errors:
            return sample, errors
        file = Path(sample["path"])
        try:
            region = read_region(file.with_name(f"{file.stem}mask.mat"), sample["image"].shape[1:])
        except DataError as error:
            return sample, [error]
        # A map of dots may be larger than its picture; points outside of that are told of by the check.
        rows, columns = cells_of(sample["points"], region.shape, region.shape).unbind(1)
        return {**sample, "image": sample["image"] * region, "points": sample["points"][region[rows, columns] > 0]}, []


def read_dots(path: Path) -> Float32[Tensor, "n 2"]:
    """The middles of the red pixels of a picture. Raises DataError as ``read_image``."""
    red, green, blue = read_image(path).unbind(0)
    rows, columns = ((red >= _DOT) & (green < _DOT) & (blue < _DOT)).nonzero().unbind(1)
    return torch.stack([columns, rows], 1).float() + 0.5


def read_region(path: Path, size: torch.Size) -> UInt8[Tensor, "h w"]:
    """1 where vehicles are counted. Raises DataError as ``read_variable``, D94 for another size."""
    region = read_variable(path, "BW", _EXPECTED)
    if region.shape != tuple(size):
        what = f"its region is {region.shape[-1]} x {region.shape[0]} pixels, the picture {size[1]} x {size[0]}"
        raise DataError("D94", path, what, "get the dataset again, or set dataset.layout.region=false")
    return torch.from_numpy((region > 0).astype(np.uint8))


def _pair(folder: Path, name: str) -> Pair:
    image = folder / name
    dots = image.with_name(f"{image.stem}dots.png")
    return Pair(image.stem, image, dots if os.path.lexists(dots) else None)
