"""BIPED: outdoor pictures with edges drawn by experts, one map each."""

import os
from pathlib import Path

from visionkit.datasets.edge_maps import EdgeReader
from visionkit.datasets.images import SUFFIXES
from visionkit.datasets.listing import list_pairs
from visionkit.datasets.pairs import SPLITS, Pairs
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Edges

_INSIDE = ("BIPEDv2/BIPED/edges", "BIPED/edges", "edges", "")
_FOLDERS = {"train": "train/rgbr/real", "val": "train/rgbr/real", "test": "test/rgbr"}
_FIX = "set dataset.root to the folder that holds BIPEDv2/, BIPED/ or edges/ (data/README.md says where to get it)"


class BIPED(Pairs):
    """``edges/imgs/train/rgbr/real`` with ``edges/edge_maps/...``, and ``test/rgbr`` (Poma et al. 2020, "DexiNed").

    There are no pictures for validation: a share of those for training is set aside by name.

    Args:
        root: the folder that holds ``BIPEDv2/``, ``BIPED/`` or ``edges/``, or ``edges/`` itself.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        val_share: of the pictures for training, set aside for validation.

    Raises:
        ConfigError: C52 unknown split, C53 a share that is none.
        DataError: D20 another tree, D22 no pictures. Faults of single pictures (D11, D23, D24, those of
            ``read_image`` and ``read_drawing``, D25) are raised when the sample is read.
    """

    def __init__(self, root: str | Path, split: str, channels: int = 3, val_share: float = 0.1) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        home, folder = _home(Path(root)), _FOLDERS[split]
        shares = (0.0, 0.0, 1.0) if split == "test" else (1 - val_share, val_share, 0.0)
        found = list_pairs(home, f"imgs/{folder}", f"edge_maps/{folder}", split, SUFFIXES, fractions=shares)
        super().__init__(found.pairs, Edges(), EdgeReader(), channels, found.doubts, target="edges")


def _home(root: Path) -> Path:
    for inside in _INSIDE:
        if os.path.isdir(root / inside / "imgs"):
            return root / inside
    raise DataError("D20", root, "there is no edges/imgs in it, nor BIPED/ or BIPEDv2/BIPED/ with it", _FIX)
