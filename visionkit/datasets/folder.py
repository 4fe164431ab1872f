"""The user's own pictures: a folder of images, a folder of masks, and a list of classes."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visionkit.datasets.classes import parse_color, read_classes
from visionkit.datasets.findings import Finding
from visionkit.datasets.images import SUFFIXES
from visionkit.datasets.masks import Coding, MaskReader
from visionkit.datasets.pairs import SPLITS, Pair, Pairs
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.seeding import fold

_ALMOST_SPLITS = frozenset({*SPLITS, "training", "valid", "validation", "testing", "dev", "eval"})
"""Folders of these names are meant as splits: to mix what they hold would spoil every figure."""


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
        pictures, truths, chosen = _open(root, root / images, root / masks, split)
        share = Share(fractions)
        labels = read_classes(classes, root)
        unknown = tuple(parse_color(color, "dataset.layout.ignore_colors") for color in ignore_colors)
        reader = MaskReader(len(labels), ignore_index, labels.colors, unknown, coding)
        pairs = [pair for pair in _pairs(pictures, truths, mask_suffix) if chosen or share.split(pair.key) == split]
        pairs += _closed(pictures, truths)
        if not pairs:
            raise _no_pictures(pictures, split, chosen, share)
        super().__init__(pairs, labels, reader, channels, _doubts(pictures, truths, mask_suffix))


@dataclass(frozen=True)
class Share:
    """Splits by name: a hash of the key, uniform in 0..1, falls into the share of one split."""

    fractions: Sequence[float]

    def __post_init__(self) -> None:
        fractions = self.fractions
        if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
            what = f"{list(fractions)} are not three shares that add up to 1"
            raise ConfigError("C53", "dataset.layout.fractions", what, "write [0.8, 0.1, 0.1]")

    def split(self, key: str) -> str:
        """train, val or test."""
        place = fold("split", key) / 2**63
        train, val, _ = self.fractions
        return "train" if place < train else "val" if place < train + val else "test"


@dataclass
class Listing:
    """Files below a folder by key: the path from there without ending, folders joined by two underscores."""

    folder: Path
    files: dict[str, list[Path]] = field(default_factory=dict)
    faults: list[DataError] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, folder: Path, skip: Iterable[str] = ()) -> "Listing":
        """Lists a folder and the folders in it; ``skip`` names folders at the top that do not belong."""
        listing = cls(folder)
        for path in sorted(_walk(folder, listing.faults, set(skip))):
            if path.suffix.lower() in SUFFIXES:
                key = "__".join(path.relative_to(folder).with_suffix("").parts)
                listing.files.setdefault(key, []).append(path)
            else:
                listing.others[path.suffix or path.name] += 1
        return listing


def _walk(folder: Path, faults: list[DataError], skip: set[str]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        what = f"the folder cannot be read ({error.strerror})"
        faults.append(DataError("D11", error.filename, what, "check its permissions"))

    for place, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        inside = [name for name in folders if not name.startswith(".") and name not in skip and not _loops(place, name)]
        # A folder that is named like a picture is a fault that reading it will tell.
        folders[:] = [name for name in inside if Path(name).suffix.lower() not in SUFFIXES]
        yield from (Path(place, name) for name in inside if name not in folders)
        yield from (Path(place, name) for name in files if not name.startswith("."))
        skip = set()


def _loops(place: str, name: str) -> bool:
    """Whether a folder is a link to one that holds it."""
    here, there = (os.path.join(os.path.realpath(path), "") for path in (place, os.path.join(place, name)))
    return here.startswith(there)


def _open(root: Path, images: Path, masks: Path, split: str) -> tuple[Listing, Listing, bool]:
    """Listings of pictures and masks, and whether they are those of the split alone."""
    for folder in (root, images, masks):
        if not os.path.isdir(folder):
            what = f"there is no such folder{_found(root)}; expected {images.name}/ and {masks.name}/ in dataset.root"
            raise DataError("D20", folder, what, "set dataset.root to your data (data/README.md shows the tree)")
    folders = sorted(path.name for path in images.glob("*") if os.path.isdir(path))
    splits = [name for name in SPLITS if name in folders]
    if not splits and not _ALMOST_SPLITS.intersection(name.lower() for name in folders):
        return Listing.of(images), Listing.of(masks), False
    if split not in splits:
        what = f"there is no folder for the split {split}; found {', '.join(folders)}"
        fix = "name the split folders train, val and test, or remove them to split by name"
        raise DataError("D20", images / split, what, fix)
    if not os.path.isdir(masks / split):
        what = f"there is no such folder, but there is {images / split}"
        raise DataError("D20", masks / split, what, "put the masks of this split there")
    pictures, truths = Listing.of(images / split), Listing.of(masks / split)
    loose = Listing.of(images, skip=splits)
    pictures.others["pictures beside the split folders"] += sum(map(len, loose.files.values()))
    return pictures, truths, True


def _found(root: Path) -> str:
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return ""
    return f" (found {', '.join(names[:8]) or 'nothing'})"


def _closed(pictures: Listing, truths: Listing) -> Iterator[Pair]:
    """Folders that cannot be read: nobody knows whose pictures they hold, so every split has this fault."""
    for number, fault in enumerate([*pictures.faults, *truths.faults]):
        yield Pair(f"unreadable_folder_{number}", Path(fault.place), fault=fault)


def _pairs(pictures: Listing, truths: Listing, mask_suffix: str) -> Iterator[Pair]:
    for key, files in pictures.files.items():
        masks = truths.files.get(key + mask_suffix, [])
        for same in (files, masks):
            if len(same) > 1:
                names = " and ".join(path.name for path in same)
                what = f"{names} have the same name but for the ending"
                yield Pair(key, same[0], fault=DataError("D23", same[0], what, "rename or remove one of them"))
                break
        else:
            yield Pair(key, files[0], masks[0] if masks else None)


def _doubts(pictures: Listing, truths: Listing, mask_suffix: str) -> Iterator[Finding]:
    wanted = {key + mask_suffix for key in pictures.files}
    for key in truths.files.keys() - wanted:
        yield Finding(str(truths.files[key][0]), "D33", "is a mask without a picture", "add the picture", "warning")
    for kind, count in pictures.others.items():
        if count:
            what = f"{count} files are not read: {kind}"
            fix = f"move or convert them if they are meant (read are {' '.join(sorted(SUFFIXES))})"
            yield Finding(str(pictures.folder), "D37", what, fix, "warning")


def _no_pictures(pictures: Listing, split: str, chosen: bool, share: Share) -> DataError:
    if chosen or not pictures.files:
        return DataError("D22", pictures.folder, "holds no pictures", f"put {' '.join(sorted(SUFFIXES))} there")
    what = f"none of the {len(pictures.files)} pictures falls to the split {split} (shares {list(share.fractions)})"
    return DataError("D22", pictures.folder, what, "make the folders train, val and test in images and in masks")
