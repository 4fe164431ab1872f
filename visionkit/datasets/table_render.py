"""Pictures of tables as papers and reports print them, with the exact box of every cell's text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from visionkit.datasets.table_content import Run, Text
from visionkit.datasets.table_fonts import Ink, font
from visionkit.labels import Cell, Table
from visionkit.text.table_grid import Span, structure_of

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Look:
    """How a table is drawn.

    Attributes:
        family: of the font (``table_fonts.families``); ``folder`` is where to look for it.
        size_px: of the font.
        gap_px: between text and the sides of its cell, across and down.
        rules: which lines there are: grid, rows, head (above, below the head, below the table), columns or none.
        align: of each column, 0 left, 0.5 centred, 1 right; of the head, None as its column.
        ink, ground, shade: colours of text and lines, of the paper, and of every second row and the head (None: paper).
        thick_px: of lines.
    """

    family: str
    size_px: int
    gap_px: tuple[int, int]
    rules: str
    align: tuple[float, ...]
    head_align: float | None
    ink: tuple[int, int, int]
    ground: tuple[int, int, int]
    shade: tuple[int, int, int] | None
    shade_head: bool
    thick_px: int = 1
    folder: str | None = None


def look(rng: np.random.Generator, columns: int, sizes_px: tuple[int, int], names: Sequence[str]) -> Look:
    """A style at random, like those of journals, reports and spreadsheets."""
    numbers = float(rng.choice([0.0, 0.5, 1.0]))
    dark = int(rng.integers(0, 70))
    paper = int(rng.integers(236, 256))
    tint = np.clip(paper + rng.integers(-6, 3, 3), 0, 255) if rng.random() < 0.4 else np.full(3, paper)
    shaded = rng.random() < 0.3
    return Look(
        family=names[int(rng.integers(len(names)))],
        size_px=int(rng.integers(sizes_px[0], sizes_px[1] + 1)),
        gap_px=(int(rng.integers(3, 9)), int(rng.integers(1, 5))),
        rules=str(rng.choice(["grid", "rows", "head", "columns", "none"], p=[0.3, 0.15, 0.35, 0.08, 0.12])),
        align=(0.0, *[numbers] * (columns - 1)),
        head_align=None if rng.random() < 0.5 else 0.5,
        ink=(dark, dark, min(dark + int(rng.integers(0, 40)), 255)),
        ground=tuple(int(value) for value in tint),  # type: ignore[arg-type]
        shade=tuple(int(value) for value in np.clip(tint - rng.integers(12, 40, 3), 0, 255)) if shaded else None,  # type: ignore[arg-type]
        shade_head=bool(rng.random() < 0.5),
        thick_px=1 + int(rng.random() < 0.1),
    )


@dataclass(frozen=True)
class Layout:
    """Where the lines of a table's grid are, in pixels: ``right[c]`` before column c, ``down[r]`` above row r."""

    right: np.ndarray
    down: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.down[-1]), int(self.right[-1])


def measure(text: Text, look: Look) -> Layout:
    """As narrow as the text allows, spanning cells included."""
    gap, above = look.gap_px
    widths = np.zeros(text.grid.columns)
    needed = [_width(runs, look) + 2 * gap for runs in text.runs]
    cells = sorted(zip(text.grid.spans, needed, strict=True), key=lambda cell: cell[0].columns)
    for span, width in cells:
        covered = slice(span.column, span.column + span.columns)
        widths[covered] += max(width - widths[covered].sum(), 0) / span.columns
    height = round(look.size_px * 1.25) + 2 * above
    right = np.concatenate([[0], np.cumsum(np.maximum(np.ceil(widths), 2 * gap + look.size_px))]).astype(int)
    return Layout(right, np.arange(text.grid.rows + 1) * height)


def render(
    text: Text, look: Look, layout: Layout, size: tuple[int, int], corner: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "h w 3"], Table]:
    """The picture of ``size`` with the table's corner (top, left) at ``corner``, and the table with its boxes."""
    picture = np.empty((*size, 3), np.uint8)
    picture.reshape(size[0], -1)[:] = np.tile(np.array(look.ground, np.uint8), size[1])  # copies whole rows: fast
    down, right = layout.down + corner[0], layout.right + corner[1]
    _shade(picture, text, look, down, right)
    _rule(picture, text, look, down, right)
    boxes = [
        _write(picture, runs, look, _place(span, down, right), _alignment(text, look, span))
        for span, runs in zip(text.grid.spans, text.runs, strict=True)
    ]
    cells = tuple(Cell(text.tokens(index), box) for index, box in enumerate(boxes))
    return picture, Table(structure_of(text.grid), cells)


def _place(span: Span, down: np.ndarray, right: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a cell."""
    last, below = span.column + span.columns, span.row + span.rows
    return int(right[span.column]), int(down[span.row]), int(right[last]), int(down[below])


def _alignment(text: Text, look: Look, span: Span) -> float:
    if span.row < text.head:
        return 0.5 if span.columns > 1 or look.head_align is not None else look.align[span.column]
    return look.align[span.column] if span.columns == 1 else 0.5 * (span.column > 0)


def _pieces(runs: Sequence[Run], look: Look) -> list[tuple[str, str, int, int]]:
    """Text, style, size and how far it is raised, of each run."""
    small = max(round(look.size_px * 0.68), 5)
    raised = round(look.size_px * 0.36)
    return [
        (text, "" if style == "sup" else style, *((small, raised) if style == "sup" else (look.size_px, 0)))
        for text, style in runs
    ]


def _width(runs: Sequence[Run], look: Look) -> float:
    return sum(font(look.family, style, size, look.folder).width(text) for text, style, size, _ in _pieces(runs, look))


def _write(
    picture: np.ndarray, runs: Sequence[Run], look: Look, place: tuple[int, int, int, int], align: float
) -> Box | None:
    """Draws a cell's text; its box is that of the pixels that it darkens, None where there are none."""
    left, top, right, bottom = place
    gap = look.gap_px[0]
    pen = left + gap + align * max(right - left - 2 * gap - _width(runs, look), 0)
    baseline = round((top + bottom) / 2 + look.size_px * 0.36)
    boxes = []
    for text, style, size, raised in _pieces(runs, look):
        face = font(look.family, style, size, look.folder)
        boxes.append(_stamp(picture, face.ink(text), round(pen), baseline - raised, look.ink))
        pen += face.width(text)
    inked = list(zip(*(box for box in boxes if box is not None), strict=True))
    if not inked:
        return None
    return float(min(inked[0])), float(min(inked[1])), float(max(inked[2])), float(max(inked[3]))


def _stamp(picture: np.ndarray, ink: Ink, x: int, y: int, color: Sequence[int]) -> tuple[int, int, int, int] | None:
    """Blends a mask in; its box within the picture, None where nothing is seen."""
    top, left = y + ink.top, x + ink.left
    height, width = ink.mask.shape
    box = max(left, 0), max(top, 0), min(left + width, picture.shape[1]), min(top + height, picture.shape[0])
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    part = picture[box[1] : box[3], box[0] : box[2]]
    mask = ink.mask[box[1] - top : box[3] - top, box[0] - left : box[2] - left, None].astype(np.uint16)
    part[:] = (part * (255 - mask) + np.asarray(color, np.uint16) * mask) // 255
    return box


def _shade(picture: np.ndarray, text: Text, look: Look, down: np.ndarray, right: np.ndarray) -> None:
    if look.shade is None:
        return
    across = slice(int(right[0]), int(right[-1]))
    if look.shade_head:
        picture[down[0] : down[text.head], across] = look.shade
        return
    for row in range(text.head, text.grid.rows, 2):
        picture[down[row] : down[row + 1], across] = look.shade


def _rule(picture: np.ndarray, text: Text, look: Look, down: np.ndarray, right: np.ndarray) -> None:
    """Lines along the sides of cells, so that none crosses one that spans."""
    left, end, thick = int(right[0]), int(right[-1]), look.thick_px
    if look.rules in ("head", "columns"):
        for row in {0, text.head, text.grid.rows}:
            picture[down[row] : down[row] + thick, left:end] = look.ink
    if look.rules == "none":
        return
    for span in text.grid.spans:
        x0, y0, x1, y1 = _place(span, down, right)
        if look.rules in ("grid", "rows") or (look.rules == "head" and 0 == span.row < text.head and span.columns > 1):
            inset = 0 if look.rules in ("grid", "rows") else look.gap_px[0]
            picture[y1 : y1 + thick, x0 + inset : x1 - inset + (thick if not inset else 0)] = look.ink
        if look.rules in ("grid", "rows") and span.row == 0:
            picture[y0 : y0 + thick, x0 : x1 + thick] = look.ink
        if look.rules == "grid" or (look.rules == "columns" and span.column + span.columns < text.grid.columns):
            picture[y0 : y1 + thick, x1 : x1 + thick] = look.ink
        if look.rules == "grid" and span.column == 0:
            picture[y0 : y1 + thick, x0 : x0 + thick] = look.ink
