"""The user's own pictures: a folder of images, a folder of masks, and a list of classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visionkit.datasets.classes import parse_color, read_classes
from visionkit.datasets.images import SUFFIXES
from visionkit.datasets.listing import list_pairs
from visionkit.datasets.masks import Coding, MaskReader
from visionkit.datasets.pairs import SPLITS, Pairs
from visionkit.errors import ConfigError, nearest


class Folder(Pairs):
    """``root/images`` and ``root/masks`` hold files of equal names (endings may differ), folders inside too.

    Where ``images`` has folders train, val or test, these are the splits, and ``masks`` has the same. Else
    the name of a picture decides (``share``), so that adding pictures moves none from split to split.

    Args:
        root: the data's folder.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        classes: list of classes, or file that holds one; by default ``root/classes.yaml`` (or .json).
        images, masks: names of the two folders.
        mask_suffix: what a mask's name has more than its picture's (``_mask`` in ``a_mask.png``).
        ignore_index: value of a mask that means unknown, or None.
        ignore_colors: colours of a mask that mean unknown.
        coding: what masks hold: index, color, or auto (see ``read_index_mask``).
        fractions: shares of train, val and test where there are no split folders.

    Raises:
        ConfigError: C51 unknown coding, C52 unknown split, C53 fractions that are none, C58 ignore_index is a class.
        DataError: D20 another tree, D22 no pictures, D29 no classes. Faults of single pictures (D11 folder
            that cannot be read, D23 one name twice, D24 no mask, those of MaskReader, D25 mask of another
            size) are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 3,
        classes: str | Path | Sequence[Any] | None = None,
        images: str = "images",
        masks: str = "masks",
        mask_suffix: str = "",
        ignore_index: int | None = 255,
        ignore_colors: Sequence[Any] = (),
        coding: Coding = "auto",
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
    ) -> None:
        root = Path(root)
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        found = list_pairs(root, images, masks, split, SUFFIXES, mask_suffix, fractions)
        labels = read_classes(classes, root)
        unknown = tuple(parse_color(color, "dataset.layout.ignore_colors") for color in ignore_colors)
        reader = MaskReader(len(labels), ignore_index, labels.colors, unknown, coding)
        super().__init__(found.pairs, labels, reader, channels, found.doubts)
