"""BSDS500 and whatever is laid out like it: pictures and the edge maps of several annotators in .mat files."""

import os
from pathlib import Path
from typing import Any, ClassVar

from visionkit.datasets.edge_maps import EdgeReader
from visionkit.datasets.images import SUFFIXES
from visionkit.datasets.listing import list_pairs
from visionkit.datasets.pairs import SPLITS, Pairs
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Edges

_INSIDE = ("BSR/BSDS500/data", "BSDS500/data", "BSR/NYUD/data", "NYUD/data", "data", "")
_TREE = "images/ and groundTruth/, each with train/, val/ and test/"
_FIX = "set dataset.root to the folder that holds BSR/, BSDS500/ or data/ (data/README.md says where to get it)"


class BSDS(Pairs):
    """Pictures ``images/<split>/<id>.jpg`` with ``groundTruth/<split>/<id>.mat`` (Arbelaez et al. 2011).

    NYUDv2 is laid out in the same way for edges (Gupta et al. 2013); its edges are judged by a tolerance of 0.011.

    Args:
        root: the folder that holds ``BSR/``, ``BSDS500/`` or ``data/``, or the one of ``images/`` and ``groundTruth/``.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        tolerance: see ``labels.Edges``.
        train_on_val: the training split holds that of validation, too, as in most published figures; the validation
            split stays as it is, so that its figures then say nothing about unseen pictures.

    Raises:
        ConfigError: C52 unknown split.
        DataError: D20 another tree, D22 no pictures. Faults of single pictures (D11, D23, D24, those of
            ``read_image`` and ``read_annotators``, D25) are raised when the sample is read.
    """

    further_labels: ClassVar[dict[str, Any]] = {}
    """Of targets besides the edges."""

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 3,
        tolerance: float = 0.0075,
        train_on_val: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        home = _home(Path(root))
        names = ("train", "val") if split == "train" and train_on_val else (split,)
        found = [list_pairs(home, "images", "groundTruth", name, SUFFIXES | {".mat"}) for name in names]
        pairs = [pair for listed in found for pair in listed.pairs]
        doubts = [doubt for listed in found for doubt in listed.doubts]
        super().__init__(pairs, Edges(tolerance), EdgeReader(), channels, doubts, target="edges")
        self.labels = {**self.labels, **self.further_labels}


def _home(root: Path) -> Path:
    for inside in _INSIDE:
        if any(os.path.isdir(root / inside / "images" / split) for split in SPLITS):
            return root / inside
    if not os.path.isdir(root):
        raise DataError("D20", root, f"there is no such folder; expected {_TREE}", _FIX)
    try:
        found = sorted(os.listdir(root))
    except OSError as error:
        raise DataError("D11", root, f"cannot be read ({error.strerror})", "check its permissions") from error
    what = f"expected {_TREE}; found {', '.join(found[:8]) or 'nothing'}{' ...' if len(found) > 8 else ''}"
    raise DataError("D20", root, what, _FIX)
