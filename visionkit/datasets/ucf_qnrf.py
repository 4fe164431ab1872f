"""UCF-QNRF: large pictures of dense crowds."""

import os
from pathlib import Path

from jaxtyping import Float32
from torch import Tensor

from visionkit.datasets.images import SUFFIXES
from visionkit.datasets.listing import Listing, Share
from visionkit.datasets.matlab import read_variable
from visionkit.datasets.pairs import SPLITS, Pair
from visionkit.datasets.points import PointPairs, as_points
from visionkit.errors import ConfigError, DataError, nearest

_EXPECTED = "it should hold annPoints, x and y of each head"
_INSIDE = ("", "UCF-QNRF_ECCV18", "UCF-QNRF")


class UCFQNRF(PointPairs):
    """``Train/img_0001.jpg`` with ``Train/img_0001_ann.mat``, and ``Test/`` (Idrees et al. 2018).

    There are no pictures for validation: a share of those for training is set aside by name.

    Args:
        root: the folder that holds ``Train/`` and ``Test/``, or one that holds ``UCF-QNRF_ECCV18/``.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        val_share: of the pictures for training, set aside for validation.

    Raises:
        ConfigError: C52 unknown split, C53 a share that is none.
        DataError: D20 another tree, D22 no pictures. Faults of single pictures (D11, D24, D80, D81, D90, D92, those of
            ``read_image``) are raised when the sample is read.
    """

    def __init__(self, root: str | Path, split: str, channels: int = 3, val_share: float = 0.1) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        folder = "Test" if split == "test" else "Train"
        home = next((Path(root) / name / folder for name in _INSIDE if os.path.isdir(Path(root) / name / folder)), None)
        if home is None:
            fix = "set dataset.root to the folder that holds them (data/README.md says where to get it)"
            raise DataError("D20", root, "there is no Train/ or no Test/ in it", fix)
        share = Share((1 - val_share, val_share, 0.0))
        pairs = [pair for pair in annotated(home) if split == "test" or share.split(pair.key) == split]
        if not pairs:
            raise DataError("D22", home, "holds no images of this split", "set dataset.layout.val_share")
        super().__init__(pairs, read_annotations, channels=channels)


def annotated(folder: Path) -> list[Pair]:
    """Pictures of a folder, each with the file of its name and ``_ann.mat`` beside it."""
    pairs = []
    for key, files in Listing.of(folder, SUFFIXES).files.items():
        truth = files[0].with_name(f"{files[0].stem}_ann.mat")
        pairs.append(Pair(key, files[0], truth if os.path.lexists(truth) else None))
    return pairs


def read_annotations(path: Path) -> Float32[Tensor, "n 2"]:
    """Heads of ``annPoints``. Raises DataError as ``read_variable`` and ``as_points``."""
    return as_points(read_variable(path, "annPoints", _EXPECTED), path, _EXPECTED)
