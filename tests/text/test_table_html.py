"""HTML of tables: escaping, lenient reading, and hostile pages."""

import pytest

from visionkit.labels import Cell, Table
from visionkit.text.table_html import as_shown, content_html, parse_table, plain_text, table_html

ROW = ("<tr>", "<td>", "</td>", "</tr>")


def one(text: str) -> tuple[str, ...]:
    """Tokens of the only cell of a page."""
    (cell,) = parse_table(text).cells
    return cell.tokens


def test_text_is_escaped_and_inline_tags_are_not() -> None:
    tokens = ("<b>", "<", "&", "</b>", "<script>", '"')
    assert content_html(tokens) == '<b>&lt;&amp;</b>&lt;script&gt;"'
    assert plain_text(tokens) == '<&<script>"'
    assert table_html(Table(ROW, (Cell(("<",)),)), page=False) == "<table><tr><td>&lt;</td></tr></table>"


def test_too_few_and_too_many_cells_still_make_a_page() -> None:
    assert table_html(Table(ROW * 2, (Cell(("a",)),)), page=False).count("<td></td>") == 1
    assert "b" not in table_html(Table(ROW[:1], (Cell(("b",)),)), page=False)[8:-8].replace("table", "")


def test_an_unescaped_sign_is_text() -> None:
    assert one("<html><body><table><tr><td><0.001</td></tr></table></body></html>") == tuple("<0.001")
    assert one("<table><tr><td>a < b & c</td></tr></table>") == tuple("a < b & c")


def test_headers_and_sections() -> None:
    page = "<table><tr><th>a</th><th>b</th></tr><tr><th>c</th><td>d</td></tr></table>"
    two = ("<td>", "</td>", "<td>", "</td>")
    assert parse_table(page).structure == (
        *("<thead>", "<tr>", *two, "</tr>", "</thead>"),
        *("<tbody>", "<tr>", *two, "</tr>", "</tbody>"),
    )
    assert parse_table("<table><tr><td></td></tr></table>").structure == ROW
    assert parse_table("<table><tbody></tbody></table>").structure == ("<tbody>", "</tbody>")


@pytest.mark.parametrize("span", ["0", "1", "-3", "x", "", "2.5", "9" * 10, "9" * 5000])
def test_spans_that_are_none_are_left_out(span) -> None:
    assert parse_table(f"<table><tr><td colspan='{span}'></td></tr></table>").structure == ROW


def test_spans_stay_as_they_are_written() -> None:
    page = '<table><tr><td colspan="999999999" rowspan=" 2 "></td></tr></table>'
    tokens = ("<tr>", "<td", ' rowspan="2"', ' colspan="999999999"', ">", "</td>", "</tr>")
    assert parse_table(page).structure == tokens


def test_other_tags_leave_their_text_alone() -> None:
    page = "<table><tr><td><p>a<br>b <a href='x'>c</a></p><sup>d</sup><!-- e --></td></tr></table>"
    assert "".join(one(page)) == "a b c<sup>d</sup>"


def test_a_table_in_a_cell_leaves_its_text() -> None:
    nested = "<table><tr><td>x</td></tr></table>"
    table = parse_table(f"<table><tr><td>a{nested}b</td></tr></table>")
    assert table.structure == ROW
    assert "".join(table.cells[0].tokens) == "axb"


@pytest.mark.parametrize(
    "page", ["", " ", "<!-- -->", "text", "<table", "<?xml version='1.0' encoding='x'?>", "\0", "\ud800", "<p>" * 10]
)
def test_pages_without_a_table_give_one_without_rows(page) -> None:
    assert parse_table(page).cells == ()


@pytest.mark.parametrize(("tag", "cells"), [("b", 1), ("table", 1), ("td", 100_001), ("div", 1)])
def test_a_hundred_thousand_nested_tags_neither_stop_nor_break_it(tag, cells) -> None:
    assert len(parse_table("<table><tr><td>" + f"<{tag}>" * 100_000 + "x").cells) == cells


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\n    12\n  ", "12"),
        (" two \t\r\n words ", "two words"),
        ("a <b> b </b> c", "a <b>b </b>c"),
        ("a<b> b</b>\n", "a<b> b</b>"),
        ("<b>\n12 </b>\n", "<b>12</b>"),
        ("1&nbsp;&nbsp;000 ", "1\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}000"),
        ("a<br>\n  b<br>", "a b"),
        ("&nbsp;", ""),
        ("\n<b>&nbsp; </b>\n", ""),
        ("\n", ""),
        ("", ""),
    ],
)
def test_white_space_as_a_browser_shows_it(text, shown) -> None:
    exact = one(f"<table><tr><td>{text}</td></tr></table>")
    assert content_html(as_shown(exact)) == shown
    if "br" not in text:
        assert content_html(exact) == text.replace("&nbsp;", "\N{NO-BREAK SPACE}").replace("\r\n", "\n")
