"""What stands in a generated table: its grid, its sections, and the text of its cells."""

from dataclasses import dataclass

import numpy as np

from visionkit.text.table_grid import Grid, Span

_NOUNS = """
group control total mean male female age years study model rate value change range level size cases test score
time day week sample area type yes no none high low left right early late first last north south east west red
blue green new old water air soil milk tea rice corn gene cell blood heart lung liver brain dose drug risk ratio
index cost price sales tax income assets cash profit loss net gross other region city school class grade code
item number share growth weight height speed depth length width volume mass force energy power heat light sound
signal noise error bias fit trend phase stage site plot field tree leaf root seed fish bird cow dog cat mouse
rat human child adult patient nurse visit care home
"""
_WORDS = _NOUNS.split()
_UNITS = ("%", "mg", "kg", "cm", "mm", "ml", "km", "n", "SD", "years", "days", "hours", "EUR", "USD")
_MARKS = ("*", "a", "b", "1", "2")
CHARACTERS = " %&()*+,-./:<=>ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
TAGS = ("<b>", "</b>", "<i>", "</i>", "<sup>", "</sup>")
"""Beside the characters, all that content is made of."""

Run = tuple[str, str]
"""A piece of text and its style: "", bold, italic or sup."""


@dataclass(frozen=True)
class Form:
    """How large and how hard generated tables are.

    Attributes:
        rows, columns: least and most of the body's rows, and of columns.
        spans: probability of each kind of spanning cells.
        empty: probability that a cell of the body is empty.
        words: most words of a label.
        plain: text without bold, italic and raised pieces.
    """

    rows: tuple[int, int] = (2, 8)
    columns: tuple[int, int] = (2, 6)
    spans: float = 0.35
    empty: float = 0.06
    words: int = 2
    plain: bool = False


@dataclass(frozen=True)
class Text:
    """Grid of a table and the runs of each cell, in reading order; the first ``head`` rows are its head."""

    grid: Grid
    runs: tuple[tuple[Run, ...], ...]
    head: int

    def tokens(self, cell: int) -> tuple[str, ...]:
        """Content of a cell as PubTabNet writes it."""
        tags = {"bold": "b", "italic": "i", "sup": "sup"}
        parts: list[str] = []
        for text, style in self.runs[cell]:
            parts += [f"<{tags[style]}>", *text, f"</{tags[style]}>"] if style else text
        return tuple(parts)


def compose(rng: np.random.Generator, form: Form, columns: int, rows: int) -> Text:
    """A table of so many columns and body rows."""
    head = _head(rng, form, columns)
    body, bands = _body(rng, form, columns, rows)
    depth = 1 + max((span.row + span.rows - 1 for span in head), default=-1)
    marks = [(0, "<thead>"), (depth, "</thead>")] if depth else []
    marks += [(depth, "<tbody>"), (depth + rows, "</tbody>")]
    placed = [span._replace(row=span.row + depth) for span in body]
    bold = not form.plain and rng.random() < 0.8
    kinds = [rng.choice(len(_KINDS)) for _ in range(columns)]
    runs = [_title(rng, form, span, bold) for span in head]
    for span in body:
        runs.append(_entry(rng, form, span, kinds[span.column], bands))
    return Text(Grid(depth + rows, columns, (*head, *placed), tuple(marks)), tuple(runs), depth)


def structure_tokens(form: Form) -> tuple[str, ...]:
    """Every token that the structure of such tables can have."""
    plain = ("<thead>", "</thead>", "<tbody>", "</tbody>", "<tr>", "</tr>", "<td>", "</td>")
    if not form.spans:
        return plain
    wide = [f' colspan="{number}"' for number in range(2, form.columns[1] + 1)]
    high = [f' rowspan="{number}"' for number in range(2, max(form.rows[1], 2) + 1)]
    return (*plain, "<td", ">", *wide, *high)


def _head(rng: np.random.Generator, form: Form, columns: int) -> list[Span]:
    """Cells of the head: none, one row, or two of which the upper names groups of columns."""
    if rng.random() < 0.08:
        return []
    if columns < 3 or rng.random() >= form.spans:
        return [Span(0, column) for column in range(columns)]
    upper, lower, column = [Span(0, 0, 2, 1)], [], 1
    while column < columns:
        width = int(rng.integers(1, min(4, columns - column) + 1))
        if width == 1 and rng.random() < 0.5:
            upper.append(Span(0, column, 2, 1))
        else:
            upper.append(Span(0, column, 1, width))
            lower += [Span(1, column + right) for right in range(width)]
        column += width
    if lower:
        return upper + lower
    return [Span(0, column) for column in range(columns)]


def _body(rng: np.random.Generator, form: Form, columns: int, rows: int) -> tuple[list[Span], set[int]]:
    """Cells of the body, and the rows that are one cell across the table."""
    bands = set()
    if rows > 3 and columns > 1 and rng.random() < form.spans * 0.6:
        bands = {0, *(int(row) for row in rng.integers(2, rows - 1, 1))}
    grouped = columns > 2 and rows > 2 and rng.random() < form.spans * 0.8
    spans: list[Span] = []
    left = 0
    for row in range(rows):
        if row in bands:
            spans.append(Span(row, 0, 1, columns))
            left = 0
            continue
        if left == 0:
            most = next((band for band in sorted(bands) if band > row), rows) - row
            left = int(rng.integers(1, min(most, 4) + 1)) if grouped else 1
            spans.append(Span(row, 0, left, 1))
        left -= 1
        column = 1
        while column < columns:
            width = 2 if column + 2 < columns and rng.random() < form.spans * 0.08 else 1
            spans.append(Span(row, column, 1, width))
            column += width
    return sorted(spans), bands


def _title(rng: np.random.Generator, form: Form, span: Span, bold: bool) -> tuple[Run, ...]:
    if span.column == 0 and rng.random() < 0.3:
        return ()
    text = _label(rng, form.words)
    if rng.random() < 0.25:
        text += f" ({rng.choice(_UNITS)})"
    return ((text, "bold" if bold else ""),)


def _entry(rng: np.random.Generator, form: Form, span: Span, kind: int, bands: set[int]) -> tuple[Run, ...]:
    if span.row in bands:
        return ((_label(rng, form.words), "" if form.plain else "italic"),)
    if span.column == 0:
        text: str = _label(rng, form.words)
    elif rng.random() < form.empty:
        return ()
    else:
        text = _KINDS[kind](rng)
    if form.plain or rng.random() > 0.06:
        return ((text, ""),)
    if rng.random() < 0.5:
        return ((text, ""), (str(rng.choice(_MARKS)), "sup"))
    return ((text, "bold"),)


def _label(rng: np.random.Generator, words: int) -> str:
    chosen = [_WORDS[i] for i in rng.integers(0, len(_WORDS), int(rng.integers(1, words + 1)))]
    text = " ".join(chosen)
    return text[0].upper() + text[1:] if rng.random() < 0.85 else text


def _number(rng: np.random.Generator, places: int) -> str:
    return f"{float(rng.lognormal(2.5, 1.6)):.{places}f}"


def _thousands(rng: np.random.Generator) -> str:
    return f"{int(rng.lognormal(8, 2)):,}"


def _p_value(rng: np.random.Generator) -> str:
    return "<0.001" if rng.random() < 0.3 else f"{rng.random():.3f}"


_KINDS = (
    lambda rng: str(int(rng.integers(0, 100))),
    lambda rng: _number(rng, 1),
    lambda rng: _number(rng, 2),
    _thousands,
    lambda rng: f"{100 * rng.random():.1f}%",
    lambda rng: f"{_number(rng, 1)} ({_number(rng, 1)})",
    lambda rng: f"{int(rng.integers(1, 200))} ({int(rng.integers(0, 100))}%)",
    _p_value,
    lambda rng: str(int(rng.integers(1950, 2026))),
    lambda rng: _label(rng, 1),
    lambda rng: f"{int(rng.integers(1, 50))}-{int(rng.integers(50, 100))}",
    lambda rng: ("-" if rng.random() < 0.4 else "") + f"{rng.random():.2f}",
)
