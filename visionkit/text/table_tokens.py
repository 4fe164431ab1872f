"""Codes of a table's structure: PubTabNet's HTML tokens, the same with merged cells, and OTSL; all convert losslessly.

Each code says how it writes a structure, which tokens it needs, which of them begin a cell, and by which grammar
its sequences can be constrained.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple, Protocol

from visionkit.labels import Table, TableTokens
from visionkit.text.grammar import Grammar
from visionkit.text.otsl import NEW, PLACES, ROW_END, OtslGrammar, from_otsl, to_otsl
from visionkit.text.table_grid import MARKS, SECTIONS, span_of

_ORDER = (
    "<thead>",
    "</thead>",
    "<tbody>",
    "</tbody>",
    "<tfoot>",
    "</tfoot>",
    "<tr>",
    "</tr>",
    "<td>",
    "</td>",
    "<td",
    ">",
)
_MERGED = {"<td>": ("<td></td>",), ">": ("></td>",), "</td>": ()}


class Moves(NamedTuple):
    """Ids of the tokens that lead to the next row, or on in a row."""

    rows: Sequence[int] = ()
    columns: Sequence[int] = ()


class StructureCode(Protocol):
    """One way to write the structure of a table."""

    cell_tokens: ClassVar[frozenset[str]]
    """The k-th of these tokens in a sequence is where the k-th cell stands."""
    row_tokens: ClassVar[frozenset[str]]
    """Each of these leads to the next row."""
    column_tokens: ClassVar[frozenset[str]]
    """Each of these leads on in its row."""

    def encode(self, structure: Sequence[str]) -> tuple[str, ...]:
        """PubTabNet's tokens in this code. Raises TableFault where it cannot express them."""

    def decode(self, tokens: Sequence[str]) -> tuple[str, ...]:
        """The inverse of ``encode``. Raises TableFault where tokens make no table."""

    def vocabulary(self, labels: TableTokens) -> tuple[str, ...]:
        """The tokens that tables of a dataset need, in the order of their ids."""

    def grammar(self, labels: TableTokens) -> Grammar:
        """What ``grammar.GrammarMask`` takes."""


class HtmlCode:
    """PubTabNet's own tokens: ``<td>``, ``</td>``, and ``<td``, attributes, ``>``, ``</td>`` for a cell that spans."""

    cell_tokens: ClassVar[frozenset[str]] = frozenset({"<td>", ">"})
    row_tokens: ClassVar[frozenset[str]] = frozenset({"<tr>"})
    column_tokens: ClassVar[frozenset[str]] = cell_tokens

    def encode(self, structure: Sequence[str]) -> tuple[str, ...]:
        """The tokens themselves."""
        return tuple(structure)

    def decode(self, tokens: Sequence[str]) -> tuple[str, ...]:
        """The tokens themselves."""
        return tuple(tokens)

    def vocabulary(self, labels: TableTokens) -> tuple[str, ...]:
        """The dataset's tokens."""
        return labels.structure

    def grammar(self, labels: TableTokens) -> "HtmlGrammar":
        """Sequences that are well nested; rows may differ in length."""
        return HtmlGrammar(self.vocabulary(labels))


class MergedCode:
    """Cells as one token (``<td></td>``) or, where they span, with ``></td>`` (TableMASTER, arXiv 2105.01848)."""

    cell_tokens: ClassVar[frozenset[str]] = frozenset({"<td></td>", "></td>"})
    row_tokens: ClassVar[frozenset[str]] = frozenset({"<tr>"})
    column_tokens: ClassVar[frozenset[str]] = cell_tokens

    def encode(self, structure: Sequence[str]) -> tuple[str, ...]:
        """Merges what opens a cell with its end, which always follows."""
        return tuple(new for token in structure for new in _MERGED.get(token, (token,)))

    def decode(self, tokens: Sequence[str]) -> tuple[str, ...]:
        """Parts the merged tokens."""
        parts = {"<td></td>": ("<td>", "</td>"), "></td>": (">", "</td>")}
        return tuple(part for token in tokens for part in parts.get(token, (token,)))

    def vocabulary(self, labels: TableTokens) -> tuple[str, ...]:
        """The dataset's tokens, merged."""
        return self.encode(labels.structure)

    def grammar(self, labels: TableTokens) -> "HtmlGrammar":
        """Sequences that are well nested; rows may differ in length."""
        return HtmlGrammar(self.vocabulary(labels))


class OtslCode:
    """OTSL with sections; only for rectangular tables."""

    cell_tokens: ClassVar[frozenset[str]] = frozenset({NEW})
    row_tokens: ClassVar[frozenset[str]] = frozenset({ROW_END})
    column_tokens: ClassVar[frozenset[str]] = frozenset(PLACES) - row_tokens

    def encode(self, structure: Sequence[str]) -> tuple[str, ...]:
        """Raises TableFault where the table is no rectangle."""
        return to_otsl(structure)

    def decode(self, tokens: Sequence[str]) -> tuple[str, ...]:
        """Raises TableFault for tokens that break the rules; under the grammar there are none."""
        return from_otsl(tokens)

    def vocabulary(self, labels: TableTokens) -> tuple[str, ...]:
        """The five tokens of places, and the dataset's tokens of sections."""
        return (*PLACES, *(token for token in labels.structure if token in MARKS))

    def grammar(self, labels: TableTokens) -> OtslGrammar:
        """Sequences that are rectangular tables."""
        return OtslGrammar()


class Nesting(NamedTuple):
    """Where a sequence of HTML tokens stands."""

    section: str = ""
    rank: int = 0
    """Sections before this one can no longer come."""
    bare: bool = False
    """Whether rows stand outside sections."""
    row: bool = False
    cell: str = ""
    """What of a cell has been written: its last token, or ``attributes``."""
    spans: frozenset[str] = frozenset()


class HtmlGrammar:
    """HTML tokens that are well nested, merged or not: sections in order, rows in them, cells in rows.

    Args:
        vocabulary: the tokens there are.
    """

    start = Nesting()

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._vocabulary = tuple(vocabulary)
        self._merged = "<td></td>" in self._vocabulary
        self._spans = {token: token.split("=")[0] for token in self._vocabulary if span_of(token) > 1}

    def next(self, place: Nesting) -> Mapping[str, Nesting | None]:
        """The tokens that may follow, each with the place after it; ``""`` ends the sequence."""
        if place.cell:
            return self._in_cell(place)
        if place.row:
            empty = place._replace(cell="" if self._merged else "open")
            spanning = place._replace(cell="<td", spans=frozenset())
            return {
                "</tr>": place._replace(row=False),
                "<td></td>" if self._merged else "<td>": empty,
                **({"<td": spanning} if self._spans else {}),
            }
        options: dict[str, Nesting | None] = {}
        if place.section:
            options[f"</{place.section}>"] = place._replace(section="")
        else:
            options[""] = None
            if not place.bare:
                for rank, name in enumerate(SECTIONS[place.rank :], place.rank):
                    options[f"<{name}>"] = place._replace(section=name, rank=rank + (name != "tbody"))
        if place.section or not place.rank:
            options["<tr>"] = place._replace(row=True, bare=place.bare or not place.section)
        return options

    def _in_cell(self, place: Nesting) -> dict[str, Nesting | None]:
        closed = place._replace(cell="", spans=frozenset())
        if place.cell == "open":
            return {"</td>": closed}
        options: dict[str, Nesting | None] = {
            token: place._replace(spans=place.spans | {name})
            for token, name in self._spans.items()
            if name not in place.spans
        }
        if place.spans:
            options |= {"></td>": closed} if self._merged else {">": place._replace(cell="open", spans=frozenset())}
        return options

    def shortest(self, place: Nesting) -> int:
        """How few tokens can end the sequence, the end itself included."""
        cell = {"": 0, "open": 1, "<td": 1 + (not place.spans) + (not self._merged)}[place.cell]
        return cell + place.row + bool(place.section) + 1


def collect(tables: Iterable[Table]) -> TableTokens:
    """The tokens that occur, in an order that does not depend on that of the tables; ``<td>`` and ``</td>`` always."""
    structure, content = {"<tr>", "</tr>", "<td>", "</td>"}, set[str]()
    for table in tables:
        structure.update(table.structure)
        for cell in table.cells:
            content.update(cell.tokens)
    return in_order(structure, content)


def in_order(structure: Iterable[str], content: Iterable[str]) -> TableTokens:
    """Tokens sorted: of the structure by kind and number of a span, of the content characters before tags."""
    return TableTokens(
        tuple(sorted(set(structure), key=_structure_order)),
        tuple(sorted(set(content), key=_content_order)),
    )


def _content_order(token: str) -> tuple[bool, str, str]:
    return len(token) > 1, token.strip("</>") if len(token) > 1 else token, token.replace("/", "~")


def _structure_order(token: str) -> tuple[int, str, int, str]:
    if token in _ORDER:
        return _ORDER.index(token), "", 0, ""
    return len(_ORDER), token.split("=")[0], span_of(token), token
