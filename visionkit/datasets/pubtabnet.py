"""PubTabNet, versions 1 and 2, and what is annotated like it: a folder of pictures for each split, one JSON file."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from visionkit.datasets.annotated_tables import read_labels, table_of
from visionkit.datasets.findings import Finding
from visionkit.datasets.json_lines import JsonLines, Line
from visionkit.datasets.pairs import SPLITS
from visionkit.datasets.table_files import TableEntry, TableFiles
from visionkit.datasets.table_limits import TableLimits
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Table
from visionkit.text.table_html import parse_table

_TREE = "a file *.jsonl and the folders train/, val/ with the pictures"
_FIX = "set dataset.root to the folder that holds it (data/README.md shows the tree)"


class PubTabNet(TableFiles):
    """Pictures ``<split>/<name>.png`` and ``PubTabNet_2.0.0.jsonl`` (Zhong et al. 2020, arXiv 1911.10683).

    A split that the file lacks is read from ``<split>_gt.json``, the input of the published metric (HTML without
    boxes), where that is there. The official test tables are not public: test is val once more.

    Args:
        root: the folder that holds these, or one whose folder ``pubtabnet`` does.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        annotation: name of the file, needed only where there are several.
        tokens: JSON file of the tokens (``labels.TableTokens``); None collects those of the training split.
        fill: training tables that are no rectangles become some, as OTSL needs; all others stay as they are.
        limits: of the training split; None trains on all.

    Raises:
        ConfigError: C52 unknown split, C206 no file of tokens.
        DataError: D20 another tree, D22 no tables. Faults of single tables (those of ``read_image``, D135 to D138, D139
            a line that names no picture) are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 3,
        annotation: str | None = None,
        tokens: str | None = None,
        fill: bool = False,
        limits: TableLimits | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        home, file = _home(Path(root), annotation)
        index = JsonLines.of(file)
        entries = _entries(index, home, split)
        if split == "test" and not entries:
            entries = _entries(index, home, "val")
        if not entries:
            found = ", ".join(sorted(name for name in index.lines if name)) or "none"
            raise DataError("D22", file, f"has no tables of the split {split} (splits: {found})", _FIX)
        given = read_labels(tokens) if tokens else None
        training = _entries(index, home, "train")
        if limits is not None and (split == "train" or not given):
            training = limits.within(training)
        chosen = training if split == "train" else entries
        super().__init__(chosen, training, channels, given, _doubts(index), split, fill)


def _home(root: Path, annotation: str | None) -> tuple[Path, Path]:
    for home in (root, root / "pubtabnet"):
        if annotation is not None and (home / annotation).exists():
            return home, home / annotation
        found = sorted(home.glob("*.jsonl")) if os.path.isdir(home) and annotation is None else []
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise DataError("D20", home, f"holds {names}", "name one of them as dataset.layout.annotation")
        if found:
            return home, found[0]
    wanted = _TREE if annotation is None else annotation
    raise DataError("D20", root, f"there is no such tree; expected {wanted}", _FIX)


def _entries(index: JsonLines, home: Path, split: str) -> Sequence[TableEntry]:
    lines = index.lines.get(split, [])
    html = home / f"{split}_gt.json"
    if not lines and html.exists():
        return list(_html_entries(html, home / split))
    # Nobody knows whose tables the lines without a split are, so every split has this fault.
    return _Entries(index, [*lines, *index.lines.get("", [])] if lines else [], home / split)


@dataclass(frozen=True)
class _Entries(Sequence[TableEntry]):
    """Entries made when they are asked for: of half a million lines they would need much memory."""

    file: JsonLines
    lines: Sequence[Line]
    folder: Path

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, number: Any) -> Any:
        line = self.lines[number]
        if not line.split or not line.filename:
            return TableEntry(f"line_{line.number}", self.file.path, fault=_unnamed(self.file, line))
        return TableEntry(Path(line.filename).stem, self.folder / line.filename, partial(_read, self.file, line))


def _read(index: JsonLines, line: Line) -> Table:
    return table_of(index.read(line), index.place(line))


def _unnamed(index: JsonLines, line: Line) -> DataError:
    what = "names no split or no picture"
    return DataError("D139", index.place(line), what, 'each line should have "split" and "filename"')


def _html_entries(file: Path, folder: Path) -> Iterator[TableEntry]:
    try:
        given: Any = json.loads(file.read_text(encoding="utf-8"))
        pages = {str(name): str(truth["html"]) for name, truth in given.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"cannot be read ({' '.join(str(error).split())[:80]})"
        raise DataError("D135", file, what, 'it should be {"<name>.png": {"html": "..."}, ...}') from error
    for name, page in pages.items():
        yield TableEntry(Path(name).stem, folder / name, partial(parse_table, page))


def _doubts(index: JsonLines) -> list[Finding]:
    others = {name: len(lines) for name, lines in index.lines.items() if name and name not in SPLITS}
    return [
        Finding(
            str(index.path),
            "D37",
            f"{count} lines of the split {name!r} are not read",
            "see that it is meant",
            "warning",
        )
        for name, count in others.items()
    ]
