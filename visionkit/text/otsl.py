"""OTSL: a table's structure as one token for each place of its grid (Lysak et al. 2023, arXiv 2305.03393).

C begins a cell, L continues the one to the left, U the one above, X both; NL ends a row. Beyond the paper, tokens of
sections stand between rows as in PubTabNet, so that nothing is lost.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from visionkit.text.table_grid import MARKS, SECTIONS, Grid, Span, TableFault, grid_of, structure_of

NEW, LEFT, UP, BOTH, ROW_END = "C", "L", "U", "X", "NL"
PLACES = (NEW, LEFT, UP, BOTH, ROW_END)


def to_otsl(structure: Sequence[str]) -> tuple[str, ...]:
    """PubTabNet's tokens in OTSL. Raises TableFault where the table is no rectangle, which OTSL cannot express."""
    return otsl_of(grid_of(structure))


def from_otsl(tokens: Sequence[str]) -> tuple[str, ...]:
    """The inverse of ``to_otsl``. Raises TableFault for tokens that break the rules of OTSL."""
    return structure_of(grid_of_otsl(tokens))


def otsl_of(grid: Grid) -> tuple[str, ...]:
    """OTSL of a grid."""
    places = [[NEW] * grid.columns for _ in range(grid.rows)]
    for row, column, rows, columns in grid.spans:
        for down in range(rows):
            right = (UP if down else NEW, *[BOTH if down else LEFT] * (columns - 1))
            places[row + down][column : column + columns] = right
    marks = grid.between()
    tokens = [*marks[0]]
    for line, after in zip(places, marks[1:], strict=True):
        tokens += [*line, ROW_END, *after]
    return tuple(tokens)


def grid_of_otsl(tokens: Sequence[str]) -> Grid:
    """The grid that OTSL describes. Raises TableFault."""
    lines: list[list[str]] = []
    marks: list[tuple[int, str]] = []
    line: list[str] = []
    for place, token in enumerate(tokens):
        if token in MARKS and not line:
            marks.append((len(lines), token))
        elif token == ROW_END:
            lines.append(line)
            line = []
        elif token in PLACES:
            line.append(token)
        else:
            raise TableFault(f"token {place + 1}, {token[:40]!r}, cannot stand where it does")
    spans = tuple(
        Span(row, column, _run(lines, row, column, UP), _run(lines, row, column, LEFT))
        for row, places in enumerate(lines)
        for column, token in enumerate(places)
        if token == NEW
    )
    grid = Grid(len(lines), len(lines[0]) if lines else 0, spans, tuple(marks))
    if line or any(len(places) != grid.columns for places in lines):
        raise TableFault("has rows of unequal length")
    # Only what the rules allow is covered by the spans of its cells.
    if sum(rows * columns for _, _, rows, columns in spans) != grid.rows * grid.columns or otsl_of(grid) != (*tokens,):
        raise TableFault("has L, U or X beside cells that they cannot continue")
    return grid


def _run(lines: list[list[str]], row: int, column: int, token: str) -> int:
    """1 and how often the token follows, downwards for UP, to the right for LEFT."""
    length = 1
    if token == LEFT:
        while column + length < len(lines[row]) and lines[row][column + length] == token:
            length += 1
        return length
    while row + length < len(lines) and lines[row + length][column : column + 1] == [token]:
        length += 1
    return length


class Place(NamedTuple):
    """Where a sequence stands: what the next token depends on."""

    line: tuple[str, ...] = ()
    """Tokens of the row that is being written."""
    above: tuple[str, ...] = ()
    """The row above, within the section."""
    columns: int = 0
    """Length of the rows, 0 in the first."""
    section: str = ""
    rank: int = 0
    """Sections before this one can no longer come."""
    bare: bool = False
    """Whether rows stand outside sections."""


class OtslGrammar:
    """The rules of OTSL as an automaton: whatever it lets through is a valid table.

    L stands right of C or L, U below C or U; X stands wherever it is right of U or X and below L or X, and nowhere
    else; C stands in all other places. The paper allows C in place of such an X, which leaves cells that are no
    rectangles.
    Cells end with their section. Sections come in the order thead, any number of tbody, tfoot; else rows stand
    outside sections.
    """

    start = Place()

    def next(self, place: Place) -> Mapping[str, Place | None]:
        """The tokens that may follow, each with the place after it; ``""`` ends the sequence."""
        if place.line:
            return self._inside(place)
        options: dict[str, Place | None] = {}
        if place.section:
            options[f"</{place.section}>"] = place._replace(section="", above=())
        else:
            options[""] = None
            if not place.bare:
                for rank, name in enumerate(SECTIONS[place.rank :], place.rank):
                    options[f"<{name}>"] = place._replace(section=name, rank=rank + (name != "tbody"))
        if place.section or not place.rank:
            options |= self._inside(place._replace(bare=place.bare or not place.section))
        return options

    def _inside(self, place: Place) -> dict[str, Place | None]:
        line, column = place.line, len(place.line)
        if column and (column == place.columns or not place.columns):
            ended = place._replace(line=(), above=line, columns=column)
            if place.columns:
                return {ROW_END: ended}
            return {ROW_END: ended, **self._going_on(place)}
        return self._going_on(place)

    @staticmethod
    def _going_on(place: Place) -> dict[str, Place | None]:
        line = place.line
        left = line[-1] if line else ""
        above = place.above[len(line)] if place.above else ""
        if left in (UP, BOTH) and above in (LEFT, BOTH):
            tokens = [BOTH]
        else:
            tokens = [NEW, *[LEFT] * (left in (NEW, LEFT)), *[UP] * (above in (NEW, UP))]
        return {token: place._replace(line=(*line, token)) for token in tokens}

    def shortest(self, place: Place) -> int:
        """How few tokens can end the sequence, the end itself included."""
        line = max(place.columns - len(place.line), 0) + 1 if place.line else 0
        return line + bool(place.section) + 1
