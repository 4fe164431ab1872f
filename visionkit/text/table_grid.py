"""A table as a grid of places: which cell covers which, and where its sections begin and end."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

SECTIONS = ("thead", "tbody", "tfoot")
MARKS = frozenset(f"<{slash}{name}>" for name in SECTIONS for slash in ("", "/"))
"""Tokens that begin and end sections; they stand between rows."""
MAX_PLACES = 10**6
"""Larger grids are refused: a small text can ask for all the memory there is."""
_ATTRIBUTE = re.compile(r' (colspan|rowspan)="([0-9]{1,9})"')


class TableFault(ValueError):  # noqa: N818
    """Why tokens make no table, or none that is a rectangle; says what is wrong, and where."""


class NotRectangular(TableFault):
    """Tokens in a right order whose cells do not cover a rectangle."""


class Span(NamedTuple):
    """A cell's first row and column in the grid, and how many rows and columns it covers."""

    row: int
    column: int
    rows: int = 1
    columns: int = 1


@dataclass(frozen=True)
class Grid:
    """A rectangular table: every place is covered by one cell.

    Attributes:
        rows, columns: size of the grid.
        spans: of the cells in reading order.
        marks: section tokens, each with the row that it stands before.
    """

    rows: int
    columns: int
    spans: tuple[Span, ...]
    marks: tuple[tuple[int, str], ...] = ()

    def starting(self) -> list[list[Span]]:
        """The cells that begin in each row."""
        rows: list[list[Span]] = [[] for _ in range(self.rows)]
        for span in self.spans:
            rows[span.row].append(span)
        return rows

    def between(self) -> list[list[str]]:
        """The section tokens before each row, and those after the last."""
        marks: list[list[str]] = [[] for _ in range(self.rows + 1)]
        for row, token in self.marks:
            marks[row].append(token)
        return marks


def grid_of(structure: Sequence[str]) -> Grid:
    """The grid of PubTabNet's structure tokens.

    A cell takes the first free place of its row, as in HTML; a rowspan may reach from one section into the next.
    Raises TableFault for tokens in a wrong order, NotRectangular for rows of unequal length, cells that overlap or that
    reach below the last row, and rows without any place.
    """
    rows, marks = rows_of(structure)
    if not rows:
        return Grid(0, 0, (), marks)
    width = sum(columns for _, columns in rows[0])
    if width * len(rows) > MAX_PLACES:
        raise NotRectangular(f"has a grid of {len(rows)} x {width} places; at most {MAX_PLACES} are read")
    if not width:
        raise NotRectangular("row 1 has no cells")
    spans: list[Span] = []
    covered = [0] * width
    for row, cells in enumerate(rows):
        spans += _placed(row, cells, covered)
        covered = [left - 1 for left in covered]
    if any(covered):
        raise NotRectangular(
            f"a cell in column {next(i for i, left in enumerate(covered) if left) + 1} "
            f"reaches {max(covered)} rows below the last"
        )
    return Grid(len(rows), width, tuple(spans), marks)


def structure_of(grid: Grid) -> tuple[str, ...]:
    """PubTabNet's tokens of a grid: spans of 1 are not written, rowspan stands before colspan."""
    marks = grid.between()
    tokens = [*marks[0]]
    for cells, after in zip(grid.starting(), marks[1:], strict=True):
        tokens.append("<tr>")
        for span in cells:
            tokens += cell_tokens(span.rows, span.columns)
        tokens += ["</tr>", *after]
    return tuple(tokens)


def cell_tokens(rows: int = 1, columns: int = 1) -> list[str]:
    """Tokens of one cell."""
    if rows == columns == 1:
        return ["<td>", "</td>"]
    spans = {"rowspan": rows, "colspan": columns}
    return ["<td", *(f' {name}="{number}"' for name, number in spans.items() if number > 1), ">", "</td>"]


def is_complex(structure: Iterable[str]) -> bool:
    """Whether a cell spans several rows or columns."""
    return any(number > 1 for number in map(span_of, structure))


def span_of(token: str) -> int:
    """The number of a colspan or rowspan token, 0 of any other."""
    found = _ATTRIBUTE.fullmatch(token)
    return int(found[2]) if found else 0


def _placed(row: int, cells: list[tuple[int, int]], covered: list[int]) -> Iterator[Span]:
    """Cells of one row at their places. ``covered`` holds for how many rows each column is taken, and is changed."""
    column = 0
    for rows, columns in cells:
        while column < len(covered) and covered[column]:
            column += 1
        if column + columns > len(covered):
            raise NotRectangular(f"row {row + 1} is longer than row 1, which has {len(covered)} places")
        if any(covered[column : column + columns]):
            raise NotRectangular(f"two cells overlap in row {row + 1}")
        covered[column : column + columns] = [rows] * columns
        yield Span(row, column, rows, columns)
        column += columns
    if not all(covered):
        raise NotRectangular(f"row {row + 1} lacks {covered.count(0)} of {len(covered)} places")


def rows_of(structure: Sequence[str]) -> tuple[list[list[tuple[int, int]]], tuple[tuple[int, str], ...]]:
    """Rowspan and colspan of the cells of each row, and the section tokens with their rows. Raises TableFault."""
    rows: list[list[tuple[int, int]]] = []
    marks: list[tuple[int, str]] = []
    section, inside, place = "", False, 0
    while place < len(structure):
        token = structure[place]
        if inside and token in ("<td>", "<td"):
            spans, place = _cell(structure, place)
            rows[-1].append(spans)
            continue
        if token == ("</tr>" if inside else "<tr>"):
            inside = not inside
            rows += [[]] if inside else []
        elif not inside and token in MARKS and token.startswith("</") == bool(section):
            if section and token != f"</{section}>":
                raise _misplaced(structure, place)
            section = "" if section else token[1:-1]
            marks.append((len(rows), token))
        else:
            raise _misplaced(structure, place)
        place += 1
    if inside or section:
        raise TableFault(f"ends inside a {'row' if inside else section}")
    return rows, tuple(marks)


def _cell(structure: Sequence[str], place: int) -> tuple[tuple[int, int], int]:
    """Rowspan and colspan of the cell that begins at ``place``, and the place after it."""
    spans: dict[str, int] = {}
    spanning = structure[place] == "<td"
    place += 1
    while spanning and place < len(structure) and (found := _ATTRIBUTE.fullmatch(structure[place])):
        if found[1] in spans or not int(found[2]):
            raise _misplaced(structure, place)
        spans[found[1]] = int(found[2])
        place += 1
    for token in (">", "</td>") if spanning else ("</td>",):
        if place >= len(structure) or structure[place] != token:
            raise _misplaced(structure, place)
        place += 1
    return (spans.get("rowspan", 1), spans.get("colspan", 1)), place


def _misplaced(structure: Sequence[str], place: int) -> TableFault:
    if place >= len(structure):
        return TableFault("ends inside a cell")
    return TableFault(f"token {place + 1}, {structure[place][:40]!r}, cannot stand where it does")
