"""Tables of the ICDAR 2013 competition, from its XML; converted to lines of JSON, PubTabNet reads them."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lxml import etree

from visionkit.datasets.annotated_tables import read_labels
from visionkit.datasets.images import SUFFIXES, file_size
from visionkit.datasets.pairs import SPLITS
from visionkit.datasets.table_files import TableEntry, TableFiles
from visionkit.datasets.table_pages import extent, in_pixels
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Cell, Table
from visionkit.text.table_grid import Grid, Span, structure_of

_FIX = "mend the annotation or set dataset.on_bad=skip"
_TREE = "original/*/*-str.xml and the folders train/, val/ with the pictures"
_MOST = 1000
"""Rows or columns."""


class ICDAR2013(TableFiles):
    """Pictures ``<split>/<document>_t<k>.png`` of the k-th table with ``<document>-str.xml`` (Goebel et al. 2013).

    A table broken over several pages has a picture ``..._r<j>.png`` for each part. A picture is the union of the boxes
    of the table's cells and a margin; boxes in points of the page become its pixels. Everything stands in one
    ``tbody``, and places of the grid without a cell are empty cells. The competition had no training part: where a
    picture lies is its split, and without pictures in ``test/``, test is val once more.

    Args:
        root: the folder that holds these, or one whose folder ``icdar2013_table`` does.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        dpi: that the pictures were rendered at.
        margin_pt: around the boxes, in points.
        tokens: JSON file of the tokens (``labels.TableTokens``); None collects those of the training split.

    Raises:
        ConfigError: C52 unknown split, C206 no file of tokens.
        DataError: D20 another tree, D22 no pictures. Faults of single tables (those of ``read_image``, D135, D137,
            D138, D146 a picture without its table) are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 3,
        dpi: float = 144,
        margin_pt: float = 6,
        tokens: str | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        homes = [home for home in (Path(root), Path(root) / "icdar2013_table") if any(home.glob("**/*-str.xml"))]
        if not homes:
            fix = "set dataset.root to the folder that holds it, or take dataset=pubtabnet for lines of JSON"
            raise DataError("D20", root, f"there is no such tree; expected {_TREE}", fix)
        regions = {name: place for file in sorted(homes[0].glob("**/*-str.xml")) for name, place in _listed(file)}
        read = partial(_read, regions, dpi, margin_pt)
        entries = _entries(homes[0] / split, read)
        if split == "test" and not entries:
            entries = _entries(homes[0] / "val", read)
        if not entries:
            raise DataError("D22", homes[0] / split, "holds no pictures", "put <document>_t<k>.png there")
        given = read_labels(tokens) if tokens else None
        super().__init__(entries, _entries(homes[0] / "train", read), channels, given)


def _entries(folder: Path, read: Any) -> list[TableEntry]:
    pictures = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    return [TableEntry(path.stem, path, partial(read, path)) for path in pictures]


def _listed(file: Path) -> Iterator[tuple[str, tuple[Path, int, int]]]:
    """Names of pictures, each with its file and the places of its table and region; a file that is no XML has none."""
    document = file.name.removesuffix("-str.xml")
    try:
        tables = _tables(file)
    except DataError:
        return  # its pictures find no table, and reading tells why
    for number, table in enumerate(tables, 1):
        regions = table.findall("region")
        for part in range(len(regions)):
            yield f"{document}_t{number}" + (f"_r{part + 1}" if len(regions) > 1 else ""), (file, number - 1, part)


def _tables(file: Path) -> list[Any]:
    file_size(file)
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        return etree.parse(str(file), parser).findall("table")
    except (etree.LxmlError, OSError) as error:
        reason = " ".join(str(error).split())[:80]
        raise DataError("D135", file, f"cannot be read as XML ({reason})", _FIX) from error


def _read(regions: Mapping[str, tuple[Path, int, int]], dpi: float, margin_pt: float, picture: Path) -> Table:
    """The table of a picture, boxes in its pixels."""
    if picture.stem not in regions:
        what = "belongs to no table of the XML files that can be read"
        raise DataError("D146", picture, what, "name it <document>_t<k>.png, or <document>_t<k>_r<j>.png of a part")
    file, number, part = regions[picture.stem]
    table = _table(_tables(file)[number].findall("region")[part], f"{file}#{picture.stem}")
    around = extent(table)
    return table if around is None else in_pixels(table, around[0] - margin_pt, around[3] + margin_pt, dpi)


def _table(region: Any, place: str) -> Table:
    found = [(_span(cell, place), cell) for cell in region.findall("cell")]
    # Rows and columns are counted from 0 in some files and from 1 in others.
    first_row, first_column = (min((span[axis] for span, _ in found), default=0) for axis in (0, 1))
    placed: list[tuple[Span, Cell]] = []
    taken: set[tuple[int, int]] = set()
    for given, cell in found:
        span = given._replace(row=given.row - first_row, column=given.column - first_column)
        covered = {(span.row + down, span.column + right) for down in range(span.rows) for right in range(span.columns)}
        if taken & covered:
            raise DataError("D137", place, f"two cells cover row {given.row}, column {given.column}", _FIX)
        taken |= covered
        text = " ".join((cell.findtext("content") or "").split())
        placed.append((span, Cell(tuple(text), _box(cell, place) if text else None)))
    rows, columns = (max((spot[axis] for spot in taken), default=-1) + 1 for axis in (0, 1))
    empty = ((row, column) for row in range(rows) for column in range(columns) if (row, column) not in taken)
    placed = sorted([*placed, *((Span(*spot), Cell()) for spot in empty)], key=lambda entry: entry[0])
    grid = Grid(rows, columns, tuple(span for span, _ in placed), ((0, "<tbody>"), (rows, "</tbody>")))
    return Table(structure_of(grid), tuple(cell for _, cell in placed))


def _span(cell: Any, place: str) -> Span:
    try:
        row, column = int(cell.get("start-row", "")), int(cell.get("start-col", ""))
        last_row, last_column = int(cell.get("end-row", row)), int(cell.get("end-col", column))
    except ValueError as error:
        raise DataError("D135", place, f"has a cell whose rows and columns are no numbers ({error})", _FIX) from error
    if not (0 <= row <= last_row < _MOST and 0 <= column <= last_column < _MOST):
        what = f"has a cell from row {row}, column {column} to row {last_row}, column {last_column}"
        raise DataError("D137", place, what, _FIX)
    return Span(row, column, last_row - row + 1, last_column - column + 1)


def _box(cell: Any, place: str) -> tuple[float, float, float, float] | None:
    """Left, bottom, right, top in points."""
    box = cell.find("bounding-box")
    if box is None:
        return None
    try:
        left, low, right, high = (float(box.get(side, "")) for side in ("x1", "y1", "x2", "y2"))
    except ValueError as error:
        raise DataError("D138", place, f"has a box that is no numbers ({error})", _FIX) from error
    if not (-1e6 < left <= right < 1e6 and -1e6 < low <= high < 1e6):
        raise DataError("D138", place, f"has a box from {left:g}, {low:g} to {right:g}, {high:g}", _FIX)
    return left, low, right, high
