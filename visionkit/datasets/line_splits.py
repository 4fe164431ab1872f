"""Which split a line belongs to: by folders, or by a hash of its key or of the folders that it lies in."""

from collections.abc import Iterable, Sequence

from visionkit.datasets.listing import Share
from visionkit.datasets.pairs import SPLITS
from visionkit.datasets.text_lines import Line
from visionkit.errors import ConfigError, DataError, nearest

NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""What the splits are called, in small letters."""


def check_split(split: str) -> None:
    """Raises ConfigError C52 for a split that is none."""
    if split not in SPLITS:
        raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))


def by_name(lines: Iterable[Line], fractions: Sequence[float], folders: int = 0) -> dict[str, list[Line]]:
    """Lines of each split. Adding lines moves none from split to split.

    Where all keys begin with a folder that is named like a split (``train__a``), it decides and leaves the key as it
    is. Else a hash decides (``Share``): of the key, or of its first ``folders`` parts, so that lines of one page stay
    together. With -1 the last part is a place in a file, so that the file's own name is the name of no folder.

    Raises ConfigError C53 for fractions that are none, DataError D124 where only some lie in folders of splits.
    """
    lines, share = list(lines), Share(fractions)
    splits: dict[str, list[Line]] = {split: [] for split in SPLITS}
    beside = [line for line in lines if _named_split(line, folders) is None]
    named = len(beside) < len(lines)
    stray = [line for line in beside if line.fault is None]
    if named and stray:  # to mix what the folders hold would spoil every figure
        what = f"lies beside folders that are named like splits, as {len(stray)} of {len(lines)} do"
        raise DataError("D124", stray[0].image, what, "move it into one of them, or rename these folders")
    for line in lines:
        split = (
            _named_split(line, folders) if named else share.split("__".join(line.key.split("__")[: folders or None]))
        )
        for members in splits.values() if split is None else [splits[split]]:  # a fault of nobody is one of every split
            members.append(line)
    return splits


def _named_split(line: Line, folders: int) -> str | None:
    """The split that a line's outermost folder names."""
    file = line.key.split("__")[: folders if folders < 0 else None]
    return NAMES.get(file[0].lower()) if len(file) > 1 else None


def require_lines(splits: dict[str, list[Line]], place: object) -> None:
    """Raises DataError D131 where no split has a line."""
    if not any(splits.values()):
        raise DataError("D131", str(place), "holds no lines", "set dataset.root to your data (data/README.md)")
