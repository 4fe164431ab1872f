"""Tables that are no rectangles made into some."""

import numpy as np
import pytest
from table_cases import random_table

from visionkit.labels import Table
from visionkit.text.otsl import from_otsl, to_otsl
from visionkit.text.table_fill import filled
from visionkit.text.table_grid import TableFault, grid_of
from visionkit.text.table_html import parse_table, table_html


def table(*rows: str) -> Table:
    """Rows of cells such as ``a``, or ``a23`` for one of 2 rows and 3 columns."""
    cells = [[(f' rowspan="{c[1]}" colspan="{c[2]}"' if c[1:] else "", c[0]) for c in row.split()] for row in rows]
    lines = ["<tr>" + "".join(f"<td{spans}>{text}</td>" for spans, text in row) + "</tr>" for row in cells]
    return parse_table("<table>" + "".join(lines) + "</table>")


def shown(table: Table) -> list[str]:
    """What stands in each place of the grid; a point for an empty cell."""
    grid = grid_of(table.structure)
    places = [[" "] * grid.columns for _ in range(grid.rows)]
    for (row, column, rows, columns), cell in zip(grid.spans, table.cells, strict=True):
        for down in range(rows):
            for right in range(columns):
                places[row + down][column + right] = "".join(cell.tokens) or "."
    return ["".join(line) for line in places]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["a b", "c"], ["ab", "c."]),
        (["a", "b c d"], ["a..", "bcd"]),
        (["a31", "b"], ["a.", "ab"]),
        (["a b21 c", "d12"], ["abc", "db."]),
        (["a13", "b"], ["aaa", "b.."]),
        (["", "a"], [".", "a"]),
        (["", ""], ["", ""]),
        ([], []),
    ],
)
def test_by_hand(rows, expected) -> None:
    if expected == ["", ""]:
        with pytest.raises(TableFault, match="no cells"):
            grid_of(filled(table(*rows)).structure)
        return
    assert shown(filled(table(*rows))) == expected


def test_rectangles_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        given = random_table(rng, int(rng.integers(1, 7)), int(rng.integers(1, 7)))
        assert filled(given) == given


def test_whatever_is_left_of_a_table_becomes_a_rectangle_with_all_its_cells() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        page = table_html(random_table(rng, int(rng.integers(2, 7)), int(rng.integers(2, 7))))
        cuts = [at for at in range(len(page)) if page.startswith("<td", at)]
        at = int(rng.choice(cuts))
        ragged = parse_table(page[:at] + page[page.index("</td>", at) + 5 :])
        whole = filled(ragged)
        assert from_otsl(to_otsl(whole.structure)) == whole.structure
        kept = [cell.tokens for cell in whole.cells if cell.tokens]
        assert kept == [cell.tokens for cell in ragged.cells if cell.tokens]


def test_it_does_not_ask_for_all_the_memory_there_is() -> None:
    for spans in ('colspan="999999999"', 'rowspan="999999999" colspan="2000000"'):
        with pytest.raises(TableFault, match="at most"):
            filled(parse_table(f"<table><tr><td {spans}></td></tr><tr><td></td></tr></table>"))
