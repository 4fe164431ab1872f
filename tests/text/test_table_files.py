"""Tables as CSV and Markdown: read again by other hands, spans repeated, everything escaped."""

import csv
import io

import pytest

from visionkit.labels import Cell, Table
from visionkit.text.table_files import layout, table_csv, table_markdown
from visionkit.text.table_html import parse_table

SPANS = """<table><thead><tr><td rowspan="2">a</td><td colspan="2">b</td></tr><tr><td>c</td><td>d</td></tr></thead>
<tbody><tr><td>1</td><td rowspan="2">2</td><td></td></tr>
<tr><td>3</td><td><b>4</b><sup>x</sup></td></tr></tbody></table>"""


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table_csv(parse_table(text)), newline="")))


def test_spans_are_repeated():
    assert read(SPANS) == [["a", "b", "b"], ["a", "c", "d"], ["1", "2", ""], ["3", "2", "4x"]]


def test_markdown_has_the_first_head_row_as_its_header():
    assert table_markdown(parse_table(SPANS)).splitlines() == [
        "| a | b | b |",
        "| --- | --- | --- |",
        "| a | c | d |",
        "| 1 | 2 |  |",
        "| 3 | 2 | <b>4</b><sup>x</sup> |",
    ]


def test_without_a_head_the_header_is_empty():
    assert table_markdown(parse_table("<table><tr><td>1</td></tr></table>")) == "|  |\n| --- |\n| 1 |\n"


@pytest.mark.parametrize("text", ['a,b"c', "=1+1", "x\ny", "\r", "a;b", ' "', "1\t2"])
def test_csv_gives_back_any_text(text):
    table = Table(("<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>"), (Cell(tuple(text)), Cell(("z",))))
    rows = list(csv.reader(io.StringIO(table_csv(table), newline="")))
    assert rows == [[text, "z"]]


def test_markdown_escapes_what_means_something():
    table = Table(("<tr>", "<td>", "</td>", "</tr>"), (Cell(tuple("a|b*_<i>&\n#1")),))
    assert table_markdown(table).splitlines()[-1] == r"| a\|b\*\_&lt;i&gt;&amp; \#1 |"


def test_short_rows_end_in_empty_places():
    assert read("<table><tr><td>1</td></tr><tr><td>2</td><td>3</td></tr><tr></tr></table>") == [
        ["1", ""],
        ["2", "3"],
        ["", ""],
    ]


def test_a_span_ends_with_the_table_and_of_two_cells_the_first_is_seen():
    text = '<table><tr><td>1</td><td rowspan="9">2</td></tr><tr><td colspan="2">3</td></tr></table>'
    assert read(text) == [["1", "2"], ["3", "2"]]


@pytest.mark.parametrize("text", ["", "<table></table>", "<p>no table</p>"])
def test_no_table_is_an_empty_file(text):
    table = parse_table(text)
    assert (table_csv(table), table_markdown(table), layout(table).rows) == ("", "", 0)


def test_hostile_spans_take_no_memory():
    text = '<table><tr><td colspan="999999999" rowspan="999999999">1</td><td>2</td></tr><tr><td>3</td></tr></table>'
    assert read(text) == [["1"] * 1000 + ["2"], ["1"] * 1000 + ["3"]]  # as wide as the HTML Standard allows
    row = f"<tr>{'<td colspan=999999>a</td>' * 60}</tr>"
    many = layout(parse_table(f"<table>{row * 20}</table>"))
    assert (many.rows, many.columns) == (20, 60)


def test_sixty_columns():
    cells = "".join(f"<td>{i}</td>" for i in range(60))
    (row,) = read(f"<table><tr>{cells}</tr></table>")
    assert row == [str(i) for i in range(60)]


def test_too_few_contents_leave_cells_empty():
    table = Table(("<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>"), (Cell(("a",)),))
    assert table_csv(table) == "a,\r\n"
