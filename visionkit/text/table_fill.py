"""A table that is no rectangle made into one, as a browser would show it."""

from visionkit.labels import Cell, Table
from visionkit.text.table_grid import MAX_PLACES, Grid, Span, TableFault, rows_of, structure_of


def filled(table: Table) -> Table:
    """The table with empty cells where rows are too short; spans end where other cells or the table begin and end.

    A rectangle stays as it is, but for the order in which its spans are written. Raises TableFault for tokens in a
    wrong order, and for a grid of more than MAX_PLACES.
    """
    rows, marks = rows_of(table.structure)
    taken: set[tuple[int, int]] = set()
    placed: list[tuple[Span, Cell]] = []
    contents = iter(table.cells)
    for row, cells in enumerate(rows):
        column = 0
        for high, wide in cells:
            while (row, column) in taken:
                column += 1
            span = _fitting(row, column, min(high, len(rows) - row), wide, taken)
            placed.append((span, next(contents, Cell())))
            column += span.columns
    width = max((column for _, column in taken), default=-1) + 1
    if width * len(rows) > MAX_PLACES:
        raise TableFault(f"has a grid of {len(rows)} x {width} places; at most {MAX_PLACES} are read")
    empty = ((row, column) for row in range(len(rows)) for column in range(width) if (row, column) not in taken)
    placed += [(Span(*place), Cell()) for place in empty]
    placed.sort(key=lambda entry: entry[0])
    grid = Grid(len(rows), width, tuple(span for span, _ in placed), marks)
    return Table(structure_of(grid), tuple(cell for _, cell in placed))


def _fitting(row: int, column: int, high: int, wide: int, taken: set[tuple[int, int]]) -> Span:
    """The largest part of a cell that is free, its first row first; it is taken then."""
    if len(taken) + high * wide > MAX_PLACES:
        raise TableFault(f"a cell covers {high} x {wide} places; at most {MAX_PLACES} are read")
    columns = 1
    while columns < wide and (row, column + columns) not in taken:
        columns += 1
    taken.update((row + down, column + right) for down in range(high) for right in range(columns))
    return Span(row, column, high, columns)
