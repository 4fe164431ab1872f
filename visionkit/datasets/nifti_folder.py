"""The user's own volumes: a folder of images, a folder of masks, and a list of classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from visionkit.datasets.classes import read_classes
from visionkit.datasets.listing import list_pairs
from visionkit.datasets.nifti_files import SUFFIXES
from visionkit.datasets.pairs import SPLITS
from visionkit.datasets.volume_pairs import Grid, VolumePairs
from visionkit.errors import ConfigError, nearest


class NiftiFolder(VolumePairs):
    """``root/images`` and ``root/masks`` hold NIfTI files of equal names, folders inside too.

    Splits as in ``visionkit.datasets.folder.Folder``: folders train, val and test, else by name.

    Args:
        root: the data's folder.
        split: train, val or test.
        channels: of the volumes (the fourth axis of a file; 1 where it has three).
        classes: list of classes, or file that holds one; by default ``root/classes.yaml`` (or .json).
        images, masks: names of the two folders.
        mask_suffix: what a mask's name has more than its volume's (``_seg`` in ``a_seg.nii.gz``).
        ignore_index: label that means unknown, or None.
        spacing_mm: along d, h, w, to which volumes are resampled; None leaves them as they are.
        interpolation: of images, linear or cubic.
        fractions: shares of train, val and test where there are no split folders.

    Raises:
        ConfigError: C51 unknown interpolation, C52 unknown split, C53 fractions that are none, C59 no spacing.
        DataError: D20 another tree, D22 no volumes, D29 no classes. Faults of single volumes (D11 folder that
            cannot be read, D23 one name twice, those of VolumePairs) are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 1,
        classes: str | Path | Sequence[Any] | None = None,
        images: str = "images",
        masks: str = "masks",
        mask_suffix: str = "",
        ignore_index: int | None = None,
        spacing_mm: Sequence[float] | None = None,
        interpolation: Literal["linear", "cubic"] = "linear",
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
    ) -> None:
        root = Path(root)
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        found = list_pairs(root, images, masks, split, SUFFIXES, mask_suffix, fractions)
        grid = Grid(spacing_mm, interpolation)
        labels = read_classes(classes, root)
        super().__init__(found.pairs, labels, channels, grid, ignore_index, doubts=found.doubts)
