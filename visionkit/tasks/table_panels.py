"""Pictures of tables: the photograph with the cells' boxes, and tables drawn as a reader would see them."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from visionkit import drawing
from visionkit.labels import Table
from visionkit.layers.valid import real_size
from visionkit.text.table_files import Layout, Placed, layout
from visionkit.text.table_html import parse_table, plain_text
from visionkit.types import Prediction, Sample

_BOX: drawing.Color = (213, 94, 0)
_LINE, _HEAD, _PAPER, _INK = (160, 160, 160), (232, 238, 246), (255, 255, 255), (30, 30, 30)
_FONT_PX, _ROW_PX, _PAD_PX = 12, 20, 5
_NARROW_PX, _WIDE_PX = 24, 180
_MOST_ROWS, _MOST_COLUMNS = 60, 30
"""What does not fit is not drawn; the caption says how large the table is."""


def row(sample: Sample, prediction: Prediction | None) -> UInt8[np.ndarray, "height width 3"]:
    """The picture with the boxes that were found (else the true ones), the table that was read, and the true one."""
    real = tuple(slice(0, length) for length in real_size(sample["valid"])) if "valid" in sample else (...,)
    image = drawing.to_uint8_rgb(sample["image"][(slice(None), *real)])
    truth = sample.get("table")
    boxes = [cell.box for cell in truth.cells if cell.box] if truth is not None else []
    if prediction is not None and "cell_boxes" in prediction:
        rows = prediction["cell_boxes"].detach().cpu().float()
        boxes = [tuple(box) for box in rows[~rows.isnan().any(1)].tolist()]
    panels = {f"{len(boxes)} boxes": with_boxes(image, boxes)}
    if prediction is not None:
        text = "".join(chr(code) for code in prediction["table"].tolist() if code >= 0)
        read = parse_table(text)
        panels[f"read: {_size(read)}"] = drawn(read)
    if truth is not None:
        panels[f"truth: {_size(truth)}"] = drawn(truth)
    return drawing.side_by_side(panels)


def with_boxes(image: UInt8[np.ndarray, "h w 3"], boxes: Sequence[tuple[float, ...]]) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The picture, small ones enlarged, with outlines of boxes (left, top, right, bottom in its pixels)."""
    fitted = drawing.fit(image)
    scale = [fitted.shape[1] / image.shape[1], fitted.shape[0] / image.shape[0]] * 2
    picture = Image.fromarray(fitted)
    draw = ImageDraw.Draw(picture)
    for box in boxes:
        left, top, right, bottom = (place * factor for place, factor in zip(box, scale, strict=True))
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=_BOX)
    return np.asarray(picture)


def drawn(table: Table) -> UInt8[np.ndarray, "h w 3"]:
    """A table with grid lines, its head shaded, text that is too long cut off."""
    about = layout(table)
    rows, columns = min(about.rows, _MOST_ROWS), min(about.columns, _MOST_COLUMNS)
    if not rows or not columns:
        return _empty()
    shown = [cell for cell in about.cells if cell.row < rows and cell.column < columns]
    edges = np.cumsum([0, *_widths(shown, columns)])
    picture = Image.new("RGB", (int(edges[-1]) + 1, rows * _ROW_PX + 1), _PAPER)
    draw = ImageDraw.Draw(picture)
    for cell in shown:
        left, right = int(edges[cell.column]), int(edges[min(cell.column + cell.columns, columns)])
        top, bottom = cell.row * _ROW_PX, min(cell.row + cell.rows, rows) * _ROW_PX
        draw.rectangle((left, top, right, bottom), fill=_fill(cell, about), outline=_LINE)
        text = _cut(plain_text(cell.cell.tokens), right - left - 2 * _PAD_PX)
        draw.text((left + _PAD_PX, (top + bottom) // 2), text, fill=_INK, font=_font(), anchor="lm")
    return np.asarray(picture)


def _widths(cells: list[Placed], columns: int) -> list[int]:
    widths = [_NARROW_PX] * columns
    for cell in cells:
        if cell.columns == 1:
            needed = int(_font().getlength(_one_line(plain_text(cell.cell.tokens)))) + 2 * _PAD_PX + 1
            widths[cell.column] = max(widths[cell.column], min(needed, _WIDE_PX))
    return widths


def _fill(cell: Placed, about: Layout) -> drawing.Color:
    return _HEAD if cell.row < about.head else _PAPER


def _cut(text: str, width_px: int) -> str:
    text = _one_line(text)
    if _font().getlength(text) <= width_px:
        return text
    while text and _font().getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…"


def _one_line(text: str) -> str:
    return " ".join(text[:500].split())


def _size(table: Table) -> str:
    about = layout(table)
    return f"{about.rows} x {about.columns}"


def _empty() -> UInt8[np.ndarray, "h w 3"]:
    return np.full((_ROW_PX, 3 * _NARROW_PX, 3), _PAPER, dtype=np.uint8)


@lru_cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_PX)
