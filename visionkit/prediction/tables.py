"""Tables on the disk: HTML, CSV and Markdown of each, and one page that shows them beside their pictures."""

import html
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote

from jaxtyping import Float, Int64, Shaped
from PIL import Image
from torch import Tensor

from visionkit.drawing import to_uint8_rgb
from visionkit.files import replaced_file
from visionkit.labels import Table
from visionkit.tasks.table_panels import with_boxes
from visionkit.text.table_files import layout, table_csv, table_markdown
from visionkit.text.table_html import parse_table, table_html
from visionkit.types import Prediction

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tables</title><style>
body { font: 14px sans-serif; margin: 2em; color: #222 }
section { display: flex; flex-wrap: wrap; gap: 2em; align-items: flex-start; margin-bottom: 2.5em }
h2 { font-size: 1em; width: 100%; margin: 0 } img { max-width: 48vw; border: 1px solid #ccc }
table { border-collapse: collapse } td { border: 1px solid #bbb; padding: .2em .5em; white-space: pre-wrap }
thead td { background: #eef2f7 }
</style></head><body>
"""


def write_table(table: Int64[Tensor, "t"], labels: Any, folder: Path, name: str) -> dict[str, Any]:
    """``name`` as .html, .csv and .md; returns the three files, and the size of the table with its spans expanded."""
    found = table_of(table)
    about = layout(found)
    texts = {"html": table_html(found), "csv": table_csv(found), "md": table_markdown(found)}
    for suffix, text in texts.items():
        with replaced_file(folder / f"{name}.{suffix}") as new:
            new.write_text(text, encoding="utf-8", newline="")  # the ends of lines are part of CSV
    files = {"table": f"{name}.html", "table_csv": f"{name}.csv", "table_markdown": f"{name}.md"}
    return {**files, "rows": about.rows, "columns": about.columns}


def write_cell_boxes(boxes: Float[Tensor, "n 4"], labels: Any, folder: Path, name: str) -> dict[str, Any]:
    """Left, top, right, bottom of each cell in pixels, in reading order; null for an empty cell.

    What only fills the rows of a batch up, at the end, is left out.
    """
    rows = [None if any(place != place for place in box) else box for box in boxes.tolist()]
    while rows and rows[-1] is None:
        rows.pop()
    return {"cell_boxes": rows}


def moved_boxes(boxes: Float[Tensor, "n 4"], found_at: Sequence[int], size: Sequence[int]) -> Float[Tensor, "n 4"]:
    """Boxes found in a picture of one height and width, in the same picture at another."""
    down, right = (after / before for before, after in zip(found_at, size, strict=True))
    return boxes * boxes.new_tensor([right, down, right, down])


def table_of(codes: Int64[Tensor, "t"]) -> Table:
    """The table of a page's code points."""
    return parse_table("".join(chr(code) for code in codes.tolist() if code >= 0))


class TablePage:
    """``index.html`` in a folder of results: every picture with the boxes of its cells, and beside it what was read.

    It is written as results come, and only where there is a table among them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._stack = folder, ExitStack()
        self._stream: TextIO | None = None

    def __enter__(self) -> "TablePage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None and kind is None:
            self._stream.write("</body></html>\n")
        self._stack.__exit__(kind, error, trace)

    def add(self, key: str, image: Shaped[Tensor, "c h w"], task: str, prediction: Prediction) -> None:
        """Shows a table; what is none is left out."""
        if "table" not in prediction:
            return
        boxes = prediction["cell_boxes"] if "cell_boxes" in prediction else image.new_zeros(0, 4).float()
        found = [tuple(box) for box in boxes[~boxes.isnan().any(1)].tolist()]
        picture = f"{task}/picture/{key}.png"
        with replaced_file(self.folder / picture) as new:
            Image.fromarray(with_boxes(to_uint8_rgb(image), found)).save(new, format="png")
        written = table_html(table_of(prediction["table"]), page=False)
        title = f'<h2>{html.escape(key)} <a href="{_link(f"{task}/table/{key}.html")}">HTML</a></h2>'
        self._open().write(f'<section>{title}<img src="{_link(picture)}" alt="">{written}</section>\n')

    def _open(self) -> TextIO:
        if self._stream is None:
            new = self._stack.enter_context(replaced_file(self.folder / "index.html"))
            self._stream = self._stack.enter_context(new.open("w", encoding="utf-8"))
            self._stream.write(_HEAD)
        return self._stream


def _link(path: str) -> str:
    return html.escape(quote(path))
