"""CamVid: road scenes with 11 classes, in the layout of the SegNet tutorial."""

import os
from collections.abc import Iterator
from pathlib import Path

from visionkit.datasets.masks import MaskReader
from visionkit.datasets.pairs import SPLITS, Pair, Pairs
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Classes

CLASSES = Classes(
    names=(
        "Sky",
        "Building",
        "Pole",
        "Road",
        "Pavement",
        "Tree",
        "SignSymbol",
        "Fence",
        "Car",
        "Pedestrian",
        "Bicyclist",
    ),
    colors=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)
_UNLABELLED = 11
_TREE = "CamVid/ with train.txt, train/, trainannot/ and the same for val and test"
_FIX = "set dataset.root to the folder that holds CamVid/ (data/README.md says where to get it)"


class CamVid(Pairs):
    """CamVid (Brostow et al. 2009) with the 11 merged classes of SegNet (Badrinarayanan et al. 2017).

    The lists name files by the authors' prefix ``/SegNet/CamVid/``, which the data's own folder replaces.

    Args:
        root: the folder that holds ``CamVid/``, or ``CamVid/`` itself.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.

    Raises:
        ConfigError: C52 unknown split.
        DataError: D20 another tree, D21 a list that cannot be read, D22 an empty list. Faults of single
            lines (D21, D23) and files are raised when the sample is read.
    """

    def __init__(self, root: str | Path, split: str, channels: int = 3) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"CamVid has no split {split!r}", nearest(split, SPLITS))
        home = _home(Path(root))
        pairs = list(_pairs(home, home / f"{split}.txt"))
        super().__init__(pairs, CLASSES, MaskReader(len(CLASSES), ignore_index=_UNLABELLED, coding="grey"), channels)


def _home(root: Path) -> Path:
    for home in (root / "CamVid", root):
        if any(os.path.isfile(home / f"{split}.txt") for split in SPLITS):
            return home
    if not os.path.isdir(root):
        raise DataError("D20", root, f"there is no such folder; expected {_TREE}", _FIX)
    try:
        found = sorted(os.listdir(root))
    except OSError as error:
        raise DataError("D11", root, f"cannot be read ({error.strerror})", "check its permissions") from error
    what = f"expected {_TREE}; found {', '.join(found[:8]) or 'nothing'}{' ...' if len(found) > 8 else ''}"
    raise DataError("D20", root, what, _FIX)


def _pairs(home: Path, listing: Path) -> Iterator[Pair]:
    """Pairs of a list; a line that is none, or that comes again, is a fault of its own."""
    lines = _lines(listing)
    if not lines:
        raise DataError("D22", listing, "names no pictures", "restore the list")
    seen: dict[str, int] = {}
    for number, line in lines:
        parts = line.split()
        place = f"{listing}:{number}"
        if len(parts) != 2:
            what = f"has {len(parts)} columns instead of 2"
            yield _fault(listing, number, "D21", place, what, "write: PICTURE MASK")
            continue
        image, mask = (home / part.rpartition("CamVid/")[2] for part in parts)
        if image.stem in seen:
            what = f"{image.name} is already named in line {seen[image.stem]}"
            yield _fault(listing, number, "D23", place, what, "remove one of the lines")
            continue
        seen[image.stem] = number
        yield Pair(image.stem, image, mask)


def _lines(listing: Path) -> list[tuple[int, str]]:
    try:
        text = listing.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError("D21", listing, "the list of this split is missing", "restore it (data/README.md)") from None
    except (OSError, ValueError) as error:
        raise DataError("D21", listing, f"the list cannot be read ({error})", "restore it (data/README.md)") from error
    return [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _fault(listing: Path, number: int, code: str, place: str, what: str, fix: str) -> Pair:
    return Pair(f"{listing.stem}_line_{number}", listing, fault=DataError(code, place, what, fix))
