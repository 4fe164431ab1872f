"""Codes of a table's structure: inverses of each other, and what they refuse."""

import json

import numpy as np
import pytest
from table_cases import SIMPLE, SPANNING, SPANNING_OTSL, random_grid, random_table

from visionkit.labels import Cell, Table
from visionkit.text.otsl import from_otsl, grid_of_otsl, otsl_of, to_otsl
from visionkit.text.table_grid import Grid, NotRectangular, Span, TableFault, grid_of, is_complex, structure_of
from visionkit.text.table_html import parse_table, table_html
from visionkit.text.table_tokens import HtmlCode, MergedCode, OtslCode, collect, in_order

CODES = (HtmlCode(), MergedCode(), OtslCode())


def row(*cells: str) -> tuple[str, ...]:
    """A row of cells, each given by its attributes (empty for none)."""
    tokens = ["<tr>"]
    for cell in cells:
        tokens += ["<td", *(f" {part}" for part in cell.split()), ">", "</td>"] if cell else ["<td>", "</td>"]
    return (*tokens, "</tr>")


def test_a_table_by_hand() -> None:
    grid = grid_of(SPANNING)
    assert grid.spans == (Span(0, 0, 2, 1), Span(0, 1, 1, 2), Span(1, 1), Span(1, 2), Span(2, 0, 2, 3))
    assert (grid.rows, grid.columns) == (4, 3)
    assert grid.marks == ((0, "<thead>"), (2, "</thead>"), (2, "<tbody>"), (4, "</tbody>"))
    assert structure_of(grid) == SPANNING
    assert to_otsl(SPANNING) == SPANNING_OTSL
    assert from_otsl(SPANNING_OTSL) == SPANNING
    assert is_complex(SPANNING)
    assert not is_complex(SIMPLE)


@pytest.mark.parametrize("code", CODES, ids=lambda code: type(code).__name__)
def test_codes_are_inverted_and_find_the_cells(code) -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        grid = random_grid(rng, int(rng.integers(1, 9)), int(rng.integers(1, 9)), bool(rng.integers(2)))
        structure = structure_of(grid)
        assert grid_of(structure) == grid
        tokens = code.encode(structure)
        assert code.decode(tokens) == structure
        assert sum(token in code.cell_tokens for token in tokens) == len(grid.spans)
        assert sum(token in code.row_tokens for token in tokens) == structure.count("<tr>")
        places = grid.rows * grid.columns if isinstance(code, OtslCode) else len(grid.spans)
        assert sum(token in code.column_tokens for token in tokens) == places
        labels = collect([Table(structure, ())])
        assert set(tokens) <= set(code.vocabulary(labels))
    assert code.decode(code.encode(())) == ()


def test_merged_tokens_are_one_for_each_plain_cell() -> None:
    assert MergedCode().encode(row("", 'colspan="2"')) == (
        "<tr>",
        "<td></td>",
        "<td",
        ' colspan="2"',
        "></td>",
        "</tr>",
    )


@pytest.mark.parametrize(
    ("structure", "what"),
    [
        (row("", "") + row(""), "row 2 lacks 1 of 2"),
        (row("") + row("", ""), "row 2 is longer"),
        (row('rowspan="2"', ""), "1 rows below the last"),
        (row("", 'rowspan="2"', "") + row('colspan="2"', ""), "overlap in row 2"),
        (row() + row(), "no cells"),
        (row('colspan="999999999"') + row(""), "999999999 places; at most"),
        (row("") * 1001 + row('colspan="1000"'), "row 1002 is longer"),
    ],
)
def test_what_is_no_rectangle_is_refused(structure, what) -> None:
    with pytest.raises(NotRectangular, match=what):
        to_otsl(structure)


@pytest.mark.parametrize(
    "structure",
    [
        ("<tr>", "<td>"),
        ("<tr>", "<td", ">", "<td>"),
        ("<tr>", "<tr>"),
        ("<td>", "</td>"),
        ("<thead>", "</tbody>"),
        ("<thead>", "<tbody>"),
        ("<thead>",),
        ("</tr>",),
        ("<tr>", "<td", ' colspan="0"', ">", "</td>", "</tr>"),
        ("<tr>", "<td", ' colspan="2"', ' colspan="2"', ">", "</td>", "</tr>"),
        ("<tr>", "<th>"),
        ("<tr>", "<thead>"),
    ],
)
def test_tokens_in_a_wrong_order_are_a_fault_of_another_kind(structure) -> None:
    with pytest.raises(TableFault) as caught:
        grid_of(structure)
    assert not isinstance(caught.value, NotRectangular)


@pytest.mark.parametrize(
    "lines",
    ["L", "U", "X", "CL UC", "CL CX", "CC UX", "C CC", "CL U", "CX", "LC", "CL UL", "CL XX", "CCL UUC", "CUC", "C U ?"],
)
def test_otsl_that_breaks_its_rules_is_refused(lines) -> None:
    tokens = [token for line in lines.split() for token in (*line, "NL")]
    with pytest.raises(TableFault):
        from_otsl(tokens)
    with pytest.raises(TableFault, match="unequal length"):
        from_otsl(["C", "NL", "C"])


def test_otsl_counts_as_the_grid_does() -> None:
    grid = Grid(2, 3, (Span(0, 0, 2, 2), Span(0, 2), Span(1, 2)))
    assert otsl_of(grid) == ("C", "L", "C", "NL", "U", "X", "C", "NL")
    assert grid_of_otsl(otsl_of(grid)) == grid


def test_html_of_random_tables_is_read_back() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        table = random_table(rng, int(rng.integers(1, 7)), int(rng.integers(1, 7)))
        text = table_html(table)
        assert parse_table(text) == table
        assert table_html(parse_table(text)) == text


def test_the_vocabulary_does_not_depend_on_the_order() -> None:
    tables = [Table(SPANNING, (Cell(("b", "<i>", "</i>", "<b>", "</b>")),)), Table(SIMPLE, (Cell(("a", "<")),))]
    labels = collect(tables)
    assert labels == collect(tables[::-1])
    assert labels.content == ("<", "a", "b", "<b>", "</b>", "<i>", "</i>")
    assert in_order([' rowspan="10"', ' rowspan="2"', ' colspan="3"', ">"], ()).structure == (
        ">",
        ' colspan="3"',
        ' rowspan="2"',
        ' rowspan="10"',
    )
    assert OtslCode().vocabulary(labels) == ("C", "L", "U", "X", "NL", "<thead>", "</thead>", "<tbody>", "</tbody>")


@pytest.mark.realdata
def test_every_real_table_survives_every_code(real_data) -> None:
    lines = (real_data / "pubtabnet" / "PubTabNet_2.0.0.jsonl").read_text().splitlines()
    lines += (real_data / "icdar2013_table" / "icdar2013.jsonl").read_text().splitlines()
    for line in lines:
        given = json.loads(line)["html"]
        cells = tuple(Cell(tuple(cell["tokens"])) for cell in given["cells"])
        table = Table(tuple(given["structure"]["tokens"]), cells)
        assert parse_table(table_html(table)) == table
        assert all(code.decode(code.encode(table.structure)) == table.structure for code in CODES)
    truths = json.loads((real_data / "pubtabnet" / "val_gt.json").read_text()).values()
    refused = []
    for truth in truths:
        table = parse_table(truth["html"])
        plain = table_html(table).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        assert plain == truth["html"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        try:
            assert from_otsl(to_otsl(table.structure)) == table.structure
        except NotRectangular as fault:
            refused.append(str(fault))
    assert len(lines) + len(truths) == 152
    assert refused == ["row 3 is longer than row 1, which has 9 places"]
