"""ShanghaiTech: crowds, with a point on every head; dense pictures of part A, streets of part B."""

import os
from pathlib import Path
from typing import Literal

from jaxtyping import Float32
from torch import Tensor

from visionkit.datasets.images import SUFFIXES
from visionkit.datasets.listing import Listing, Share
from visionkit.datasets.matlab import read_variable
from visionkit.datasets.pairs import SPLITS, Pair
from visionkit.datasets.points import PointPairs, as_points
from visionkit.errors import ConfigError, DataError, nearest

_EXPECTED = "it should hold image_info{1}.location, x and y of each head"
_TREE = "train_data/ and test_data/ with images/ and ground-truth/ (or ground_truth/)"
_FIX = "set dataset.root to the folder that holds part_A/ and part_B/ (data/README.md says where to get it)"
_PARTS = ("A", "B")


class ShanghaiTech(PointPairs):
    """``part_A/train_data/images/IMG_1.jpg`` with ``ground-truth/GT_IMG_1.mat`` (Zhang et al. 2016, "MCNN").

    There are no pictures for validation: a share of those for training is set aside by name.

    Args:
        root: the folder that holds the parts, or one that holds ``ShanghaiTech/``.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        part: A or B.
        val_share: of the pictures for training, set aside for validation.
        train_on_val: the training split holds them, too; validation then shows pictures that were trained on.

    Raises:
        ConfigError: C52 unknown split, C53 a share that is none, C138 unknown part.
        DataError: D20 another tree, D22 no pictures. Faults of single pictures (D11, D24, D80, D81, D90, D92, those of
            ``read_image``) are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 3,
        part: Literal["A", "B"] = "A",
        val_share: float = 0.1,
        train_on_val: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        if part not in _PARTS:
            raise ConfigError("C138", "dataset.layout.part", f"there is no part {part!r}", nearest(str(part), _PARTS))
        home = _home(Path(root), part) / ("test_data" if split == "test" else "train_data")
        images, truths = home / "images", _truths(home)
        if not os.path.isdir(images) or truths is None:
            raise DataError("D20", home, f"expected {_TREE}", _FIX)
        pictures = Listing.of(images, SUFFIXES)
        share = Share((1 - val_share, val_share, 0.0))
        wanted = {split, "val"} if train_on_val else {split}
        pairs = [
            Pair(key, files[0], _truth(truths, key))
            for key, files in pictures.files.items()
            if split == "test" or share.split(key) in wanted
        ]
        if not pairs:
            raise DataError("D22", images, "holds no images of this split", "set dataset.layout.val_share")
        super().__init__(pairs, read_heads, channels=channels)


def read_heads(path: Path) -> Float32[Tensor, "n 2"]:
    """Heads of ``image_info``. Raises DataError as ``read_variable`` and ``as_points``."""
    info = read_variable(path, "image_info", _EXPECTED)
    try:
        places = info.ravel()[0].ravel()[0][0]
    except (IndexError, TypeError) as error:
        raise DataError("D90", path, "its image_info is empty", _EXPECTED) from error
    return as_points(places, path, _EXPECTED)


def _home(root: Path, part: str) -> Path:
    names = [f"part_{part}", f"part_{part}_final", f"Part_{part}"]
    for inside in ("", "ShanghaiTech", "shanghaitech", "ShanghaiTech_Crowd_Counting_Dataset"):
        for name in names:
            if os.path.isdir(root / inside / name):
                return root / inside / name
    found = sorted(os.listdir(root))[:8] if os.path.isdir(root) else []
    what = f"there is no part_{part}/ in it (found {', '.join(found) or 'nothing'}); expected {_TREE} there"
    raise DataError("D20", root, what, _FIX)


def _truths(home: Path) -> Path | None:
    names = ("ground-truth", "ground_truth")
    return next((home / name for name in names if os.path.isdir(home / name)), None)


def _truth(folder: Path, key: str) -> Path | None:
    path = folder / f"GT_{key}.mat"
    return path if os.path.lexists(path) else None
