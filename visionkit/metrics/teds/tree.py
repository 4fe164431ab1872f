"""The trees that TEDS compares: a table of an HTML page as the published metric reads it (Zhong et al. 2020).

Elements are nodes; a ``td`` is a leaf with its spans and its content, a string with one character for each inline tag.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from lxml import etree, html

Label = tuple[Any, int | None, int | None]
"""Tag, colspan and rowspan: nodes with different labels are renamed at the cost of 1."""

_FIRST, _MOST = 0xD800, 0x800
"""Surrogates stand for tags: no text that was parsed holds them."""


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
        if len(self.tags) == _MOST:
            raise TooManyTags(f"more than {_MOST // 2} kinds of tags inside cells")
        return self.tags.setdefault((tag, closes), chr(_FIRST + len(self.tags)))


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
    parser = html.HTMLParser(remove_comments=True, encoding="utf-8")
    try:
        page = html.fromstring(text.encode("utf-8", "replace"), parser=parser)
        tables = page.xpath("body/table")
    except (etree.LxmlError, ValueError, AssertionError, IndexError):
        return None
    if not tables:
        return None
    if ignore:
        etree.strip_tags(tables[0], *ignore)
    return tables[0]


def tree_of(table: Any, names: Names) -> Tree:
    """The tree of a table; the depth of the page is not limited. Raises TooManyTags."""
    tree = Tree(nodes=sum(1 for _ in table.iter("*")) - 1)
    stack = [(table, iter(table), 0)]
    while stack:
        node, children, first = stack[-1]
        for child in children:
            if child.tag != "td":
                stack.append((child, iter(child), len(tree.labels)))
                break
            columns, rows = _span(child, "colspan"), _span(child, "rowspan")
            tree.complex |= columns > 1 or rows > 1
            tree.add(names.label("td", columns, rows), len(tree.labels), names.content(_content(child, names)))
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
    if not len(cell):
        return cell.text or ""
    return "".join(_pieces(cell, names))


def _pieces(cell: Any, names: Names) -> Iterator[str]:
    """Text and tags in their order. A tag ``unk`` is not closed, and what follows a nested ``td`` is left out."""
    yield cell.text or ""
    stack = [(cell, iter(cell))]
    while stack:
        node, children = stack[-1]
        child = next(children, None)
        if child is not None:
            yield names.tag(child.tag, closes=False)
            yield child.text or ""
            stack.append((child, iter(child)))
            continue
        stack.pop()
        if stack:
            if node.tag != "unk":
                yield names.tag(node.tag, closes=True)
            if node.tag != "td":
                yield node.tail or ""
