"""FinTabNet: tables of annual reports, annotated like PubTabNet on pages of PDF files."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from visionkit.datasets.annotated_tables import page_box, read_labels, table_of
from visionkit.datasets.images import SUFFIXES
from visionkit.datasets.json_lines import JsonLines, Line
from visionkit.datasets.pairs import SPLITS
from visionkit.datasets.table_files import Picture, TableEntry, TableFiles
from visionkit.datasets.table_pages import cut_out
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Table

_FIX = "set dataset.root to the folder that holds it (data/README.md shows the tree)"


class FinTabNet(TableFiles):
    """``FinTabNet_1.0.0_cell_<split>.jsonl`` with rendered pages ``img/<file>.png`` (Zheng et al. 2021, 2005.00589).

    The published pages are PDF files ``pdf/<file>.pdf``; they are rendered once, outside, at ``dpi``. Boxes in points
    of the page become pixels; the picture is the part of the page with all boxes.

    Args:
        root: the folder that holds these, or one whose folder ``fintabnet`` does.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        dpi: that the pages were rendered at.
        margin_pt: of the page around the table, in points.
        pages: name of the folder of rendered pages.
        tokens: JSON file of the tokens (``labels.TableTokens``); None collects those of the training split.
        fill: training tables that are no rectangles become some, as OTSL needs.

    Raises:
        ConfigError: C52 unknown split, C206 no file of tokens, C209 a resolution that is none.
        DataError: D20 another tree, D22 no tables. Faults of single tables (those of ``read_image``, D135 to D139, D145
            a page that is not rendered) are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 3,
        dpi: float = 144,
        margin_pt: float = 6,
        pages: str = "img",
        tokens: str | None = None,
        fill: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        if not 1 <= dpi <= 2400:
            raise ConfigError("C209", f"dataset.layout.dpi={dpi}", "is no resolution", "give dots an inch, such as 144")
        places = [home for home in (Path(root), Path(root) / "fintabnet") if _file(home, split).exists()]
        if not places:
            what = f"there is no {_file(Path(root), split).name}"
            raise DataError("D20", root, what, _FIX)
        entries = _Entries.of(places[0], split, pages, dpi, margin_pt)
        if not len(entries):
            raise DataError("D22", _file(places[0], split), "holds no tables", _FIX)
        given = read_labels(tokens) if tokens else None
        training = entries if split == "train" or given else _Entries.of(places[0], "train", pages, dpi, margin_pt)
        super().__init__(entries, training, channels, given, split=split, fill=fill)


def _file(home: Path, split: str) -> Path:
    return home / f"FinTabNet_1.0.0_cell_{split}.jsonl"


@dataclass(frozen=True)
class _Entries(Sequence[TableEntry]):
    """Entries made when they are asked for."""

    file: JsonLines
    lines: Sequence[Line]
    folder: Path
    dpi: float
    margin_pt: float

    @classmethod
    def of(cls, home: Path, split: str, pages: str, dpi: float, margin_pt: float) -> "_Entries":
        file = JsonLines.of(_file(home, split))
        lines = sorted(line for group in file.lines.values() for line in group)
        return cls(file, lines, home / pages, dpi, margin_pt)

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, number: Any) -> Any:
        line, place = self.lines[number], self.file.place(self.lines[number])
        key = f"line_{line.number}"
        if not line.filename:
            what = "names no page"
            return TableEntry(key, self.file.path, fault=DataError("D139", place, what, 'it should have "filename"'))
        stem = Path(line.filename).with_suffix("")
        page = next((path for end in sorted(SUFFIXES) if (path := self.folder / f"{stem}{end}").exists()), None)
        key = f"{'__'.join(stem.parts)}__{line.number}"
        if page is None:
            page = self.folder / f"{stem}.png"
            what = f"this page of pdf/{stem}.pdf is not rendered"
            fix = f"run: pdftoppm -r {self.dpi:g} -png -singlefile pdf/{stem}.pdf {self.folder.name}/{stem}"
            return TableEntry(key, page, fault=DataError("D145", page, what, fix))
        return TableEntry(key, page, partial(self._read, line), cut=partial(self._cut, line))

    def _read(self, line: Line) -> Table:
        return table_of(self.file.read(line), self.file.place(line))

    def _cut(self, line: Line, page: Picture, table: Table) -> tuple[Picture, Table]:
        box = page_box(self.file.read(line), self.file.place(line))
        return cut_out(page, table, self.dpi, self.margin_pt, box)
