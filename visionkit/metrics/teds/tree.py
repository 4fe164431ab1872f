"""The trees that TEDS compares: a table of an HTML page as the published metric reads it (Zhong et al. 2020).

Elements are nodes; a ``td`` is a leaf with its spans and its content, a string with one character for each inline tag.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

Label = tuple[Any, int | None, int | None]
"""Tag, colspan and rowspan: nodes with different labels are renamed at the cost of 1."""

_FIRST, _MOST = 0xD800, 0x800
"""Surrogates stand for tags: no text that was parsed holds them."""
_WHOLE = re.compile(r"^\s*<(?:html|!doctype)", re.IGNORECASE)
_TABLES, _COUNT = etree.XPath("body/table"), etree.XPath("count(.//*)")


class TooManyTags(ValueError):  # noqa: N818
    """A pair of tables with more kinds of inline tags than there are characters to stand for them."""


@dataclass
class Names:
    """Numbers of labels and contents, and characters of inline tags; shared by the trees that are compared."""

    labels: dict[Label, int] = field(default_factory=dict)
    contents: dict[str, int] = field(default_factory=dict)
    tags: dict[Any, str] = field(default_factory=dict)

    def label(self, tag: Any, columns: int | None = None, rows: int | None = None) -> int:
        """The number of a label."""
        return self.labels.setdefault((tag, columns, rows), len(self.labels))

    def content(self, text: str) -> int:
        """The number of a content."""
        return self.contents.setdefault(text, len(self.contents))

    def tag(self, tag: Any, closes: bool) -> str:
        """The character of an inline tag. Raises TooManyTags."""
        found = self.tags.get((tag, closes))
        if found is None:
            if len(self.tags) == _MOST:
                raise TooManyTags(f"more than {_MOST // 2} kinds of tags inside cells")
            found = self.tags[tag, closes] = chr(_FIRST + len(self.tags))
        return found


@dataclass
class Tree:
    """A tree in postorder.

    Attributes:
        labels: number of each node's label.
        leftmost: of each node, the place of the first leaf below it.
        contents: number of each ``td``'s content, -1 of other nodes.
        nodes: elements below the table as the metric counts them: those inside cells too, the table itself not.
        complex: whether a cell spans several rows or columns.
    """

    labels: list[int] = field(default_factory=list)
    leftmost: list[int] = field(default_factory=list)
    contents: list[int] = field(default_factory=list)
    nodes: int = 0
    complex: bool = False

    def add(self, label: int, leftmost: int, content: int = -1) -> None:
        """Appends a node, after all those below it."""
        self.labels.append(label)
        self.leftmost.append(leftmost)
        self.contents.append(content)


def parse(text: str, ignore: Collection[str] = ()) -> Any:
    """The first ``body/table`` of a page, None where the lenient parser finds none; nothing makes it fail.

    As with the published metric, a page has to begin with ``<html`` (or a doctype): else its table counts for nothing.

    Args:
        text: of the page.
        ignore: tags that are taken away while their text stays.
    """
    if not _WHOLE.match(text):
        return None
    parser = etree.HTMLParser(remove_comments=True, encoding="utf-8")
    try:
        page = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except (etree.LxmlError, ValueError):
        return None
    tables = [] if page is None else _TABLES(page)
    if not tables:
        return None
    if ignore:
        etree.strip_tags(tables[0], *ignore)
    return tables[0]


def tree_of(table: Any, names: Names) -> Tree:
    """The tree of a table; the depth of the page is not limited. Raises TooManyTags."""
    tree = Tree(nodes=int(_COUNT(table)))
    plain = names.label("td", 1, 1)
    stack = [(table, iter(table), 0)]
    while stack:
        node, children, first = stack[-1]
        for child in children:
            if child.tag != "td":
                stack.append((child, iter(child), len(tree.labels)))
                break
            label = plain
            if child.keys():
                columns, rows = _span(child, "colspan"), _span(child, "rowspan")
                tree.complex |= columns > 1 or rows > 1
                label = names.label("td", columns, rows)
            content = names.content(_content(child, names) if len(child) else child.text or "")
            tree.add(label, len(tree.labels), content)
        else:
            stack.pop()
            tree.add(names.label(node.tag), first)
    return tree


def _span(cell: Any, name: str) -> int:
    """A span as the published metric reads it; 1 where that would fail."""
    try:
        return int(cell.get(name, "1"))
    except ValueError:
        return 1


def _content(cell: Any, names: Names) -> str:
    """Text and tags in their order. A tag ``unk`` is not closed, and what follows a nested ``td`` is left out."""
    pieces = [cell.text or ""]
    stack = [(cell, iter(cell))]
    while stack:
        node, children = stack[-1]
        for child in children:
            pieces += names.tag(child.tag, closes=False), child.text or ""
            if len(child):
                stack.append((child, iter(child)))
                break
            _close(child, names, pieces)
        else:
            stack.pop()
            if stack:
                _close(node, names, pieces)
    return "".join(pieces)


def _close(node: Any, names: Names, pieces: list[str]) -> None:
    if node.tag != "unk":
        pieces.append(names.tag(node.tag, closes=True))
    if node.tag != "td":
        pieces.append(node.tail or "")
