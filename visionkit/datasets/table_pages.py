"""Tables whose boxes are in points of a PDF page, y upwards: pictures of the page or of the table alone."""

from dataclasses import replace

from jaxtyping import UInt8
from torch import Tensor

from visionkit.labels import Table

Box = tuple[float, float, float, float]
_POINTS_AN_INCH = 72


def extent(table: Table, *boxes: Box) -> Box | None:
    """Left, bottom, right, top of all boxes of cells and of those given; None where there are none."""
    found = [*boxes, *(cell.box for cell in table.cells if cell.box is not None)]
    if not found:
        return None
    left, low, right, high = zip(*found, strict=True)
    return min(left), min(low), max(right), max(high)


def in_pixels(table: Table, left: float, top: float, dpi: float) -> Table:
    """Boxes in points of the page to pixels of a picture whose corner is at ``left``, ``top`` (points, y upwards)."""
    scale = dpi / _POINTS_AN_INCH
    cells = []
    for cell in table.cells:
        if cell.box is None:
            cells.append(cell)
            continue
        x0, y0, x1, y1 = cell.box
        cells.append(
            replace(cell, box=((x0 - left) * scale, (top - y1) * scale, (x1 - left) * scale, (top - y0) * scale))
        )
    return Table(table.structure, tuple(cells))


def cut_out(
    page: UInt8[Tensor, "c h w"], table: Table, dpi: float, margin_pt: float, box: Box | None = None
) -> tuple[UInt8[Tensor, "c h_table w_table"], Table]:
    """The part of a page with all cells (and ``box``) and a margin; the page is as high as its picture.

    A table without any box is the whole page.
    """
    scale = dpi / _POINTS_AN_INCH
    height_pt = page.shape[1] / scale
    around = extent(table, *([] if box is None else [box]))
    if around is None:
        return page, table
    left, low, right, high = around
    x0 = min(max(int((left - margin_pt) * scale), 0), page.shape[2] - 1)
    y0 = min(max(int((height_pt - high - margin_pt) * scale), 0), page.shape[1] - 1)
    x1 = max(min(round((right + margin_pt) * scale), page.shape[2]), x0 + 1)
    y1 = max(min(round((height_pt - low + margin_pt) * scale), page.shape[1]), y0 + 1)
    return page[:, y0:y1, x0:x1], in_pixels(table, x0 / scale, height_pt - y0 / scale, dpi)
