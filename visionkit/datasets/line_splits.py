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

    Where all keys begin with the name of a split (``train__a``), it decides and leaves the key as it is. Else a hash
    decides (``Share``): of the key, or of its first ``folders`` parts, so that lines of one page stay together.

    Raises ConfigError C53 for fractions that are none.
    """
    lines, share = list(lines), Share(fractions)
    splits: dict[str, list[Line]] = {split: [] for split in SPLITS}
    named = bool(lines) and all("__" in line.key and line.key.partition("__")[0].lower() in NAMES for line in lines)
    for line in lines:
        parts = line.key.split("__")
        split = NAMES[parts[0].lower()] if named else share.split("__".join(parts[: folders or None]))
        splits[split].append(line)
    return splits


def require_lines(splits: dict[str, list[Line]], place: object) -> None:
    """Raises DataError D131 where no split has a line."""
    if not any(splits.values()):
        raise DataError("D131", str(place), "holds no lines", "set dataset.root to your data (data/README.md)")
