"""Files of images and of masks in two folders: their pairs, their splits, and what is strange about them."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from visionkit.datasets.findings import Finding
from visionkit.datasets.pairs import SPLITS, Pair
from visionkit.errors import ConfigError, DataError
from visionkit.seeding import fold

_ALMOST_SPLITS = frozenset({*SPLITS, "training", "valid", "validation", "testing", "dev", "eval"})
"""Folders of these names are meant as splits: to mix what they hold would spoil every figure."""


class Listed(NamedTuple):
    """Pairs of one split, and doubts about the folders."""

    pairs: list[Pair]
    doubts: list[Finding]


def list_pairs(
    root: Path,
    images: str,
    masks: str,
    split: str,
    suffixes: Collection[str],
    mask_suffix: str = "",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
) -> Listed:
    """Pairs of files of equal names in ``root/images`` and ``root/masks``; endings may differ.

    Where ``images`` has folders train, val or test, these are the splits. Else ``Share(fractions)`` decides.

    Args:
        root: the data's folder.
        images, masks: names of the two folders.
        split: train, val or test.
        suffixes: endings of files that are read, in small letters.
        mask_suffix: what a mask's name has more than its image's.
        fractions: shares of train, val and test where there are no split folders.

    Raises:
        ConfigError: C53 fractions that are none.
        DataError: D20 another tree, D22 no images. Faults of single images (D11, D23) are in their pairs.
    """
    pictures, truths, chosen = _open(root, root / images, root / masks, split, suffixes)
    share = Share(fractions)
    pairs = [pair for pair in _pairs(pictures, truths, mask_suffix) if chosen or share.split(pair.key) == split]
    pairs += _closed(pictures, truths)
    if not pairs:
        raise _no_pictures(pictures, split, chosen, share)
    return Listed(pairs, list(_doubts(pictures, truths, mask_suffix)))


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
    suffixes: Collection[str]
    files: dict[str, list[Path]] = field(default_factory=dict)
    faults: list[DataError] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, folder: Path, suffixes: Collection[str], skip: Iterable[str] = ()) -> "Listing":
        """Lists a folder and the folders in it; ``skip`` names folders at the top that do not belong."""
        listing = cls(folder, suffixes)
        for path in sorted(_walk(folder, listing.faults, set(skip), suffixes)):
            end = _ending(path.name, suffixes)
            if end:
                key = "__".join((*path.relative_to(folder).parts[:-1], path.name[: -len(end)]))
                listing.files.setdefault(key, []).append(path)
            else:
                listing.others[path.suffix or path.name] += 1
        return listing


def _ending(name: str, suffixes: Collection[str]) -> str:
    """Which of the endings a name has, empty for none."""
    return max((end for end in suffixes if name.lower().endswith(end) and name.lower() != end), key=len, default="")


def _walk(folder: Path, faults: list[DataError], skip: set[str], suffixes: Collection[str]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        what = f"the folder cannot be read ({error.strerror})"
        faults.append(DataError("D11", error.filename, what, "check its permissions"))

    for place, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        inside = [name for name in folders if not name.startswith(".") and name not in skip and not _loops(place, name)]
        # A folder that is named like an image is a fault that reading it will tell.
        folders[:] = [name for name in inside if not _ending(name, suffixes)]
        yield from (Path(place, name) for name in inside if name not in folders)
        yield from (Path(place, name) for name in files if not name.startswith("."))
        skip = set()


def _loops(place: str, name: str) -> bool:
    """Whether a folder is a link to one that holds it."""
    here, there = (os.path.join(os.path.realpath(path), "") for path in (place, os.path.join(place, name)))
    return here.startswith(there)


def _open(
    root: Path, images: Path, masks: Path, split: str, suffixes: Collection[str]
) -> tuple[Listing, Listing, bool]:
    """Listings of images and masks, and whether they are those of the split alone."""
    for folder in (root, images, masks):
        if not os.path.isdir(folder):
            what = f"there is no such folder{_found(root)}; expected {images.name}/ and {masks.name}/ in dataset.root"
            raise DataError("D20", folder, what, "set dataset.root to your data (data/README.md shows the tree)")
    folders = sorted(path.name for path in images.glob("*") if os.path.isdir(path))
    splits = [name for name in SPLITS if name in folders]
    if not splits and not _ALMOST_SPLITS.intersection(name.lower() for name in folders):
        return Listing.of(images, suffixes), Listing.of(masks, suffixes), False
    if split not in splits:
        what = f"there is no folder for the split {split}; found {', '.join(folders)}"
        fix = "name the split folders train, val and test, or remove them to split by name"
        raise DataError("D20", images / split, what, fix)
    if not os.path.isdir(masks / split):
        what = f"there is no such folder, but there is {images / split}"
        raise DataError("D20", masks / split, what, "put the masks of this split there")
    pictures, truths = Listing.of(images / split, suffixes), Listing.of(masks / split, suffixes)
    loose = Listing.of(images, suffixes, skip=splits)
    pictures.others["images beside the split folders"] += sum(map(len, loose.files.values()))
    return pictures, truths, True


def _found(root: Path) -> str:
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return ""
    return f" (found {', '.join(names[:8]) or 'nothing'})"


def _closed(pictures: Listing, truths: Listing) -> Iterator[Pair]:
    """Folders that cannot be read: nobody knows whose images they hold, so every split has this fault."""
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
        yield Finding(str(truths.files[key][0]), "D33", "is a mask without an image", "add the image", "warning")
    for kind, count in pictures.others.items():
        if count:
            what = f"{count} files are not read: {kind}"
            fix = f"move or convert them if they are meant (read are {' '.join(sorted(pictures.suffixes))})"
            yield Finding(str(pictures.folder), "D37", what, fix, "warning")


def _no_pictures(pictures: Listing, split: str, chosen: bool, share: Share) -> DataError:
    if chosen or not pictures.files:
        return DataError("D22", pictures.folder, "holds no images", f"put {' '.join(sorted(pictures.suffixes))} there")
    what = f"none of the {len(pictures.files)} images falls to the split {split} (shares {list(share.fractions)})"
    return DataError("D22", pictures.folder, what, "make the folders train, val and test in images and in masks")
