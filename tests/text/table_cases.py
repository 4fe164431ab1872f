"""Tables for tests: some made by hand, and random ones of every form."""

import numpy as np

from visionkit.labels import Cell, Table
from visionkit.text.table_grid import Grid, Span, structure_of

SIMPLE = ("<thead>", "<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>", "</thead>")
SIMPLE += ("<tbody>", "<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>", "</tbody>")
SPANNING = (
    *("<thead>", "<tr>", "<td", ' rowspan="2"', ">", "</td>", "<td", ' colspan="2"', ">", "</td>", "</tr>"),
    *("<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>", "</thead>"),
    *("<tbody>", "<tr>", "<td", ' rowspan="2"', ' colspan="3"', ">", "</td>", "</tr>", "<tr>", "</tr>", "</tbody>"),
)
SPANNING_OTSL = ("<thead>", *"CCL", "NL", *"UCC", "NL", "</thead>", "<tbody>", *"CLL", "NL", *"UXX", "NL", "</tbody>")


def random_grid(rng: np.random.Generator, rows: int, columns: int, sections: bool = True) -> Grid:
    """Cells of random size, placed one after another where they fit."""
    taken = np.zeros((rows, columns), dtype=bool)
    head = int(rng.integers(0, rows + 1)) if sections else rows
    spans = []
    for row, column in np.ndindex(rows, columns):
        if taken[row, column]:
            continue
        below, width, height = (head if row < head else rows) - row, 1, 1
        if rng.random() < 0.3:
            free = int(np.argmax(np.append(taken[row, column:], True)))
            width, height = int(rng.integers(1, free + 1)), int(rng.integers(1, below + 1))
        taken[row : row + height, column : column + width] = True
        spans.append(Span(row, column, height, width))
    marks = ((0, "<thead>"), (head, "</thead>"), (head, "<tbody>"), (rows, "</tbody>")) if sections else ()
    return Grid(rows, columns, tuple(spans), marks)


def random_table(rng: np.random.Generator, rows: int, columns: int, alphabet: str = "ab 1<&>\"'é") -> Table:
    """A table with content; some cells are empty, some have tags."""
    grid = random_grid(rng, rows, columns)
    cells = []
    for _ in grid.spans:
        text = [alphabet[i] for i in rng.integers(0, len(alphabet), rng.integers(0, 9))]
        cells.append(Cell(tuple(["<b>", *text, "</b>"] if rng.random() < 0.3 and text else text)))
    return Table(structure_of(grid), tuple(cells))
