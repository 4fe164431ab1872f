"""Tables as HTML and back: text is escaped, and whatever a lenient parser makes of a broken page is read."""

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree
from lxml.html import HTMLParser, document_fromstring

from visionkit.labels import Cell, Table
from visionkit.text.table_grid import SECTIONS, cell_tokens

INLINE = frozenset(
    {"b", "i", "u", "s", "em", "strong", "sub", "sup", "small", "big", "strike", "del", "ins", "mark", "code", "tt"}
    | {"underline", "overline", "smallcaps"}
)
"""Tags that a cell's content may hold; of others the text alone is read, and as text they are escaped."""
_SPACE = " \t\n\r\f"
_TAG = re.compile(rf"</?(?:{'|'.join(sorted(INLINE))})>")


def table_html(table: Table, page: bool = True) -> str:
    """A table as HTML in one line; with ``page`` inside ``<html><body>``, as TEDS reads it.

    The k-th cell of the structure gets the content of the k-th cell; where these are too few it stays empty, and those
    left over are not written.
    """
    contents = iter(table.cells)
    parts = ["<html><body><table>" if page else "<table>"]
    for token in table.structure:
        parts.append(token)
        if token in ("<td>", ">") and (cell := next(contents, None)):
            parts.append(content_html(cell.tokens))
    parts.append("</table></body></html>" if page else "</table>")
    return "".join(parts)


def content_html(tokens: Sequence[str]) -> str:
    """Content of a cell: inline tags as they are, all other text escaped."""
    return "".join(token if _TAG.fullmatch(token) else html.escape(token, quote=False) for token in tokens)


def plain_text(tokens: Sequence[str]) -> str:
    """Content of a cell without its inline tags."""
    return "".join(token for token in tokens if not _TAG.fullmatch(token))


def as_shown(tokens: Sequence[str]) -> tuple[str, ...]:
    """Content with white space as a browser shows it: runs are one space, also across inline tags, none at the ends.

    Non-breaking spaces stay, but a cell that holds nothing else, or only tags, is empty.
    """
    if not plain_text(tokens).strip(f"{_SPACE}\N{NO-BREAK SPACE}"):
        return ()
    shown: list[str] = []
    last = None  # where the white space stands that text may follow
    after_text = False
    for token in tokens:
        if token in _SPACE:
            if after_text:
                last, after_text = len(shown), False
                shown.append(" ")
            continue
        if not _TAG.fullmatch(token):
            last, after_text = None, True
        shown.append(token)
    return tuple(shown if last is None else shown[:last] + shown[last + 1 :])


def parse_table(text: str) -> Table:
    """The first table of a page in PubTabNet's tokens; boxes are not known.

    ``th`` becomes ``td``; rows outside sections stay there, but where there is no ``thead``, first rows all of ``th``
    become one. Spans that are no numbers of 2 or more are left out; a table inside a cell leaves its text alone.
    Comments, attributes and whitespace between tags go. A page without a table gives one without rows.
    """
    root = parse_page(text)
    found = None if root is None else next(root.iter("table"), None)
    if found is None:
        return Table((), ())
    cells: list[Cell] = []
    structure: list[str] = []
    sections = list(_sections(found))
    if not any(name == "thead" for name, _ in sections):
        sections = list(_headed(sections))
    for name, rows in sections:
        structure += [f"<{name}>"] if name else []
        for row in rows:
            structure.append("<tr>")
            for cell in row.iterchildren("td", "th"):
                structure += cell_tokens(span(cell, "rowspan"), span(cell, "colspan"))
                cells.append(Cell(tuple(content_tokens(cell))))
            structure.append("</tr>")
        structure += [f"</{name}>"] if name else []
    return Table(tuple(structure), tuple(cells))


def parse_page(text: str) -> Any:
    """The root that a lenient parser makes of a page, None where it finds nothing; it never raises."""
    parser = HTMLParser(remove_comments=True, encoding="utf-8")
    try:
        return document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.LxmlError, ValueError):
        return None


def span(cell: Any, name: str) -> int:
    """A cell's colspan or rowspan, 1 where it is missing or no number of one to nine digits."""
    value = cell.get(name, "1").strip()
    return max(int(value), 1) if re.fullmatch("[0-9]{1,9}", value) else 1


def content_tokens(cell: Any) -> Iterator[str]:
    """Characters and inline tags of a cell, without the cell's own tag; a line break is a space."""
    if not len(cell):
        yield from cell.text or ""
        return
    for event, node in etree.iterwalk(cell, events=("start", "end")):
        text = node.text if event == "start" else node.tail
        if node is not cell and node.tag in INLINE:
            yield f"<{node.tag}>" if event == "start" else f"</{node.tag}>"
        elif node.tag == "br" and event == "start":
            yield " "
        if text and (node is not cell or event == "start"):
            yield from text


def _sections(table: Any) -> Iterator[tuple[str, list[Any]]]:
    """Rows by section, in their order; the name is empty where they stand outside sections."""
    loose: list[Any] = []
    for child in table.iterchildren():
        if child.tag == "tr":
            loose.append(child)
        elif child.tag in SECTIONS:
            if loose:
                yield "", loose
                loose = []
            yield child.tag, list(child.iterchildren("tr"))
    if loose:
        yield "", loose


def _headed(sections: list[tuple[str, list[Any]]]) -> Iterator[tuple[str, list[Any]]]:
    for number, (name, rows) in enumerate(sections):
        heads = 0
        while number == 0 and heads < len(rows) and _is_head(rows[heads]):
            heads += 1
        if heads:
            yield "thead", rows[:heads]
            name = name or "tbody"
        if rows[heads:] or not heads:
            yield name, rows[heads:]


def _is_head(row: Any) -> bool:
    tags = [cell.tag for cell in row.iterchildren("td", "th")]
    return bool(tags) and set(tags) == {"th"}
