"""Tables as CSV and Markdown: every place of the grid is written, so that spans do not shift what stands beside them.

The rule: a cell that spans several places is repeated at each of them. Rows that are too short end in empty places.
"""

import csv
import html
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from visionkit.labels import Cell, Table
from visionkit.text.table_grid import MAX_PLACES, span_of
from visionkit.text.table_html import plain_text

_EMPTY = Cell()
_WIDEST = 1000
"""Columns of a cell at most, as in the HTML Standard; without it a few cells could ask for minutes."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]|~#])")


@dataclass(frozen=True)
class Placed:
    """A cell in the grid: its first row and column, and how many it covers."""

    row: int
    column: int
    rows: int
    columns: int
    cell: Cell


@dataclass(frozen=True)
class Layout:
    """Where the cells of a table stand, also where its rows are of unequal length.

    Attributes:
        rows, columns: size of the grid.
        cells: in reading order.
        head: rows of the head.
    """

    rows: int
    columns: int
    cells: tuple[Placed, ...]
    head: int

    def grid(self) -> list[list[Cell]]:
        """The cell at each place; of two that overlap the first, an empty one where there is none."""
        places: list[list[Cell | None]] = [[None] * self.columns for _ in range(self.rows)]
        for placed in self.cells:
            for line in places[placed.row : placed.row + placed.rows]:
                for column in range(placed.column, placed.column + placed.columns):
                    line[column] = placed.cell if line[column] is None else line[column]
        return [[cell or _EMPTY for cell in line] for line in places]


def layout(table: Table) -> Layout:
    """Cells at the first free place of their row, as a browser puts them.

    A span that leads below the last row ends there, and none is wider than 1000 columns. Where the grid would have
    more than a million places, no cell spans.
    """
    rows, head = _rows(table)
    placed, width = _placed(rows)
    if width * len(rows) > MAX_PLACES:
        placed, width = _placed([[(1, 1, cell) for _, _, cell in row] for row in rows])
    return Layout(len(rows), width, tuple(placed), head)


def table_csv(table: Table) -> str:
    """CSV as in RFC 4180 without inline tags; nothing for a table without rows."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in layout(table).grid():
        writer.writerow([plain_text(cell.tokens) for cell in row])
    return text.getvalue()


def table_markdown(table: Table) -> str:
    """A table of GitHub's Markdown; inline tags stay, what has a meaning in Markdown is escaped.

    The first row of the head is the header; further rows of it follow as ordinary ones. Without a head the header is
    empty. Nothing for a table without rows or without cells.
    """
    about = layout(table)
    if not about.columns:
        return ""
    rows = [[_markdown(cell.tokens) for cell in row] for row in about.grid()]
    header = rows.pop(0) if about.head else [""] * about.columns
    lines = [header, ["---"] * about.columns, *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(table: Table) -> tuple[list[list[tuple[int, int, Cell]]], int]:
    """Rowspan, colspan and content of the cells of each row, and the number of rows in the head."""
    rows: list[list[tuple[int, int, Cell]]] = []
    contents, head, in_head = iter(table.cells), 0, False
    spans = {"rowspan": 1, "colspan": 1}
    for token in table.structure:
        if token == "<tr>":
            rows.append([])
            head += in_head
        elif token in ("<thead>", "</thead>"):
            in_head = token == "<thead>"
        elif number := span_of(token):
            spans[token.split("=")[0].strip()] = number
        elif token in ("<td>", ">") and rows:
            rows[-1].append((spans["rowspan"], spans["colspan"], next(contents, _EMPTY)))
            spans = {"rowspan": 1, "colspan": 1}
    return rows, head


def _placed(rows: Sequence[Sequence[tuple[int, int, Cell]]]) -> tuple[list[Placed], int]:
    """The cells at their places, and the number of columns."""
    placed, width = [], 0
    taken: dict[int, int] = {}
    for row, cells in enumerate(rows):
        column = 0
        for high, wide, cell in cells:
            while taken.get(column, 0) > row:
                column += 1
            high, wide = min(high, len(rows) - row), min(wide, _WIDEST)
            placed.append(Placed(row, column, high, wide, cell))
            if high > 1:
                taken.update(dict.fromkeys(range(column, column + wide), row + high))
            column += wide
            width = max(width, column)
    return placed, width


def _markdown(tokens: Sequence[str]) -> str:
    return "".join(_escaped(tokens)).replace("\r", " ").replace("\n", " ")


def _escaped(tokens: Sequence[str]) -> Iterator[str]:
    for token in tokens:
        is_tag = not plain_text([token])
        yield token if is_tag else _MARKDOWN.sub(r"\\\1", html.escape(token, quote=False))
