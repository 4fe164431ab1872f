"""Tables as numbers and back, in all three codes."""

import pytest
import torch

from visionkit.errors import ConfigError
from visionkit.labels import Cell, Table
from visionkit.tasks.table_targets import Ids, TableWriter, balanced, expressible
from visionkit.text.table_html import parse_table
from visionkit.text.table_tokens import HtmlCode, MergedCode, OtslCode, collect

SPANS = parse_table(
    "<table><thead><tr><td rowspan='2'>a</td><td colspan='2'>bc</td></tr><tr><td></td><td>d</td></tr></thead>"
    "<tbody><tr><td>1</td><td>2</td><td><b>4</b></td></tr></tbody></table>"
)
ONE = Table(("<tr>", "<td>", "</td>", "</tr>"), (Cell(("a",), (2.0, 4.0, 10.0, 8.0)),))
EMPTY = Table((), ())
LABELS = collect([SPANS, ONE])
CODES = [HtmlCode(), MergedCode(), OtslCode()]


def targets_of(writer: TableWriter, *tables: Table):
    keys = [str(number) for number in range(len(tables))]
    return writer.targets(tables, keys, (20.0, 10.0), torch.device("cpu"))


@pytest.mark.parametrize("code", CODES)
def test_what_is_encoded_is_decoded(code):
    writer = TableWriter(LABELS, code, 100, 10)
    targets = targets_of(writer, SPANS, ONE, EMPTY)
    contents = iter([row[1:].tolist() for row in targets.content])
    for row, table in enumerate((SPANS, ONE, EMPTY)):
        assert targets.structure[row, 0] == writer.structure.begin
        cells = [next(contents) if wanted else [] for wanted in targets.filled[row]][: len(table.cells)]
        again = writer.table(targets.structure[row, 1:].tolist(), cells)
        assert again.structure == table.structure
        assert [cell.tokens for cell in again.cells] == [cell.tokens for cell in table.cells]


@pytest.mark.parametrize("code", CODES)
def test_cells_are_foretold_before_they_open(code):
    writer = TableWriter(LABELS, code, 100, 10)
    targets = targets_of(writer, SPANS, ONE, EMPTY)
    assert targets.is_cell.sum(1).tolist() == [7, 1, 0]
    following = targets.structure.gather(1, (targets.opens + 1).clamp(max=targets.structure.shape[1] - 1))
    tokens = [writer.structure.tokens[index] for index in following[targets.is_cell].tolist()]
    assert set(tokens) <= code.cell_tokens
    assert targets.filled.sum(1).tolist() == [6, 1, 0]
    assert len(targets.content) == 7


def test_boxes_are_shares_of_what_is_covered():
    targets = targets_of(TableWriter(LABELS, HtmlCode(), 100, 10), ONE, SPANS)
    torch.testing.assert_close(targets.boxes[0, 0], torch.tensor([0.3, 0.6, 0.4, 0.4]))
    assert targets.boxes[1].isnan().all()
    assert targets.boxes[0, 1:].isnan().all()


def test_long_ones_are_learnt_up_to_there():
    writer = TableWriter(LABELS, HtmlCode(), 6, 3)
    targets = targets_of(writer, SPANS, Table(ONE.structure, (Cell(tuple("abcd")),)))
    assert targets.structure.shape == (2, 7)
    assert targets.is_cell.sum(1).tolist() == [1, 1]
    assert targets.content[1].tolist() == [writer.content.begin, *writer.content.encode("abc")]


def test_what_is_not_in_the_vocabulary():
    ids = Ids(("a", "b"))
    assert ids.encode("axb") == [0, ids.unknown, 1]
    assert ids.decode([0, ids.unknown, 1, ids.end, 0]) == ("a", "b")
    assert ids.decode([-1]) == ()


def test_too_few_cells_and_ids_that_make_no_table():
    writer = TableWriter(LABELS, OtslCode(), 100, 10)
    targets = targets_of(writer, Table(ONE.structure, ()))
    assert targets.is_cell.tolist() == [[True]]
    assert targets.filled.tolist() == [[False]]
    assert writer.table(writer.structure.encode(["L", "NL"]), []) == EMPTY


def test_no_tables_with_cells_and_no_tables():
    writer = TableWriter(LABELS, HtmlCode(), 100, 10)
    assert targets_of(writer, EMPTY, EMPTY).boxes.shape == (2, 0, 4)
    assert targets_of(writer, EMPTY).content.shape == (0, 0)


def test_what_a_code_cannot_express_is_named():
    uneven = parse_table("<table><tr><td>1</td></tr><tr><td>1</td><td>2</td></tr></table>")
    with pytest.raises(ConfigError, match="'0'") as caught:
        targets_of(TableWriter(LABELS, OtslCode(), 100, 10), uneven)
    assert caught.value.code == "C211"
    targets_of(TableWriter(LABELS, MergedCode(), 100, 10), uneven)


def test_what_evaluation_takes_instead_can_be_expressed():
    uneven = parse_table("<table><tr><td>1</td></tr><tr><td>1</td><td>2</td></tr></table>")
    assert expressible(uneven, HtmlCode()) is uneven
    assert expressible(SPANS, OtslCode()) is SPANS
    full = expressible(uneven, OtslCode())
    assert [cell.tokens for cell in full.cells] == [("1",), (), ("1",), ("2",)]
    endless = parse_table("<table><tr><td colspan='999999999'>1</td></tr></table>")
    assert expressible(endless, OtslCode()) == EMPTY


@pytest.mark.parametrize(
    ("tokens", "want"),
    [
        ("<b> a", "<b> a </b>"),
        ("a </b> b", "a b"),
        ("<b> <i> a </b> </i> b", "<b> <i> a </i> </b> b"),
        ("<b> <b> a </b>", "<b> <b> a </b> </b>"),
        ("a < / > b", "a < / > b"),
        ("", ""),
    ],
)
def test_inline_tags_are_balanced(tokens, want):
    assert balanced(tokens.split()) == tuple(want.split())
