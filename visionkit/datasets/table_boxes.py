"""Boxes of a table's cells: how they follow the picture, and whether they lie in it."""

from collections.abc import Iterator, Sequence

from visionkit.labels import Cell, Table
from visionkit.text.table_grid import TableFault, grid_of

Box = tuple[float, float, float, float]
_OUTSIDE_PX = 1.0


def scaled(table: Table, down: float, right: float) -> Table:
    """The table of a picture that is ``down`` times as high and ``right`` times as wide."""
    cells = tuple(Cell(cell.tokens, cell.box and _scaled(cell.box, down, right)) for cell in table.cells)
    return Table(table.structure, cells)


def _scaled(box: Box, down: float, right: float) -> Box:
    return box[0] * right, box[1] * down, box[2] * right, box[3] * down


def outside(table: Table, height: int, width: int) -> int:
    """How many boxes reach more than a pixel beyond the picture."""
    return sum(
        min(cell.box[:2]) < -_OUTSIDE_PX or cell.box[2] > width + _OUTSIDE_PX or cell.box[3] > height + _OUTSIDE_PX
        for cell in table.cells
        if cell.box is not None
    )


def table_doubts(table: Table, size: Sequence[int]) -> Iterator[tuple[str, str, str]]:
    """What is strange about a table in a picture of this height and width: code, what, and the way out."""
    if not table.cells:
        yield "D140", "its table has no cells", "see that this is meant"
    if wrong := outside(table, *size):
        yield "D141", f"{wrong} of its cells' boxes reach outside the picture", "see that the boxes are in its pixels"
    try:
        grid_of(table.structure)
    except TableFault as fault:
        what = f"its table is no rectangle, so OTSL cannot express it: {fault}"
        yield "D142", what, "mend it, train on HTML tokens, or set dataset.layout.fill=true"
