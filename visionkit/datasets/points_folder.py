"""The user's own pictures with points: a folder of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float32
from torch import Tensor

from visionkit.datasets.images import SUFFIXES
from visionkit.datasets.listing import list_pairs
from visionkit.datasets.pairs import SPLITS
from visionkit.datasets.points import PointPairs, as_points
from visionkit.datasets.text_files import read_rows, read_text
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Objects

_CSV = "write a line x,y for each object, in pixels; a first line with the names x and y is allowed"
_JSON = 'write [[x, y], ...], or {"points": [[x, y], ...]}, in pixels'


class PointsFolder(PointPairs):
    """``root/images`` and ``root/points`` hold files of equal names, folders inside too; points as CSV or JSON.

    Where ``images`` has folders train, val or test, these are the splits, and ``points`` has the same. Else the name of
    a picture decides (``share``), so that adding pictures moves none from split to split.

    Args:
        root: the data's folder.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        images, points: names of the two folders.
        points_suffix: what the name of a file of points has more than its picture's.
        objects: what is counted, in the plural.
        offset_px: added to x and y: 0 where the first pixel reaches from 0 to 1, 0.5 where its number is 0, -0.5 where
            it is 1.
        fractions: shares of train, val and test where there are no split folders.

    Raises:
        ConfigError: C52 unknown split, C53 fractions that are none.
        DataError: D20 another tree, D22 no pictures. Faults of single pictures (D11, D23, D24, those of PointReader)
            are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 3,
        images: str = "images",
        points: str = "points",
        points_suffix: str = "",
        objects: str = "objects",
        offset_px: float = 0.0,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
    ) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        endings = SUFFIXES | {".csv", ".json"}
        found = list_pairs(Path(root), images, points, split, endings, points_suffix, fractions)
        super().__init__(found.pairs, PointReader(offset_px), Objects(objects), channels, found.doubts)


@dataclass(frozen=True)
class PointReader:
    """Reads a file of points, CSV or JSON by its ending.

    Raises DataError: as ``read_rows``; D90 other contents, D91 no CSV or JSON, D92 points that are no numbers.
    """

    offset_px: float = 0.0

    def __call__(self, path: Path) -> Float32[Tensor, "n 2"]:
        """x, y in pixels; no points from an empty CSV."""
        suffix = path.suffix.lower()
        if suffix == ".csv":
            return as_points(_from_csv(path), path, _CSV) + self.offset_px
        if suffix == ".json":
            return as_points(_from_json(path), path, _JSON) + self.offset_px
        raise DataError("D91", path, "is neither CSV nor JSON", _CSV)


def _from_csv(path: Path) -> list[list[float]]:
    rows = [(line, row) for line, row in read_rows(path) if any(cell.strip() for cell in row)]
    columns = (0, 1)
    names = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    if "x" in names and "y" in names:
        columns, rows = (names.index("x"), names.index("y")), rows[1:]
    points = []
    for line, row in rows:
        try:
            points.append([float(row[column]) for column in columns])
        except (ValueError, IndexError) as error:
            raise DataError("D91", path, f"its line {line} holds no x and y ({','.join(row)[:60]!r})", _CSV) from error
    return points


def _from_json(path: Path) -> Any:
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError("D91", path, f"is no JSON ({' '.join(str(error).split())[:100]})", _JSON) from error
    return value.get("points") if isinstance(value, dict) else value
