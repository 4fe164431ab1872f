"""UCF_CC_50: fifty very dense crowds, in five folds."""

import os
from pathlib import Path

from visionkit.datasets.listing import Share
from visionkit.datasets.pairs import SPLITS
from visionkit.datasets.points import PointPairs
from visionkit.datasets.ucf_qnrf import annotated, read_annotations
from visionkit.errors import ConfigError, DataError, nearest

_FOLDS = 5
_INSIDE = ("", "UCF_CC_50", "UCFCrowdCountingDataset_CVPR13")


class UCFCC50(PointPairs):
    """``1.jpg`` with ``1_ann.mat`` (Idrees et al. 2013); published figures are the mean of five folds.

    A fold tests on ten pictures in the order of their numbers, 1 to 10 for fold 1, and trains on the others, a share of
    which is set aside for validation by name.

    Args:
        root: the folder that holds the pictures, or one that holds ``UCF_CC_50/``.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        fold: 1 to 5.
        val_share: of the pictures for training, set aside for validation.

    Raises:
        ConfigError: C52 unknown split, C53 a share that is none, C138 unknown fold.
        DataError: D20 another tree, D22 no pictures. Faults of single pictures (D11, D24, D80, D81, D90, D92, those of
            ``read_image``) are raised when the sample is read.
    """

    def __init__(self, root: str | Path, split: str, channels: int = 3, fold: int = 1, val_share: float = 0.1) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        if fold not in range(1, _FOLDS + 1):
            raise ConfigError("C138", "dataset.layout.fold", f"there is no fold {fold}", f"choose 1 to {_FOLDS}")
        home = next((Path(root) / name for name in _INSIDE if os.path.lexists(Path(root) / name / "1_ann.mat")), None)
        if home is None:
            fix = "set dataset.root to the folder that holds it (data/README.md says where to get it)"
            raise DataError("D20", root, "there is no 1_ann.mat in it", fix)
        pairs = sorted(annotated(home), key=lambda pair: (len(pair.key), pair.key))
        size = -(-len(pairs) // _FOLDS)
        tested = pairs[(fold - 1) * size : fold * size]
        share = Share((1 - val_share, val_share, 0.0))
        rest = [pair for pair in pairs if pair not in tested and share.split(pair.key) == split]
        chosen = tested if split == "test" else rest
        if not chosen:
            raise DataError("D22", home, "holds no images of this split", "set dataset.layout.val_share")
        super().__init__(chosen, read_annotations, channels=channels)
