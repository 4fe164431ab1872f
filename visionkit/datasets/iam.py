"""IAM handwriting database 3.0 (Marti and Bunke 2002): lines and words, from its ASCII or its XML files."""

import os
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from visionkit.datasets.findings import Finding
from visionkit.datasets.line_splits import check_split
from visionkit.datasets.safe_xml import attribute, elements, parse_xml
from visionkit.datasets.text_files import read_text
from visionkit.datasets.text_lines import Line, TextLines, once
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import ConfigError, DataError, nearest

Unit = Literal["lines", "words"]
_LISTS = {
    "train": ("train.txt", "trainset.txt", "tr.lst"),
    "val": ("validation.txt", "val.txt", "valid.txt", "validationset1.txt", "va.lst"),
    "test": ("test.txt", "testset.txt", "te.lst"),
}
"""Names of the split lists as they are passed on; the first that is there counts."""
_PLACES = ("splits", "split", "task", "ascii", "")
_TREE = "lines/ or words/, ascii/lines.txt or ascii/words.txt or xml/, and splits/train.txt, validation.txt, test.txt"
_FIX = "set dataset.root to the folder that holds them (data/README.md shows the tree)"
_COLUMNS = 8
"""Columns before the transcription: the second is the segmentation; of words the eighth is the grammatical tag."""


class IAM(TextLines):
    """Lines or words of IAM with the splits that are listed beside them.

    A list may name forms (``a01-000u``), lines (``a01-000u-00``) or words. In the ASCII files ``|`` separates words and
    becomes a space; punctuation keeps the space before it, as in most published figures. Lines of the XML files have
    the spaces of the original text.

    Args:
        root: the folder of ``lines/`` or ``words/``, ``ascii/`` or ``xml/``, and ``splits/``.
        split: train, val or test.
        channels: 1 for grey, 3 for colour.
        text: rules of the text.
        unit: lines or words.
        only_well_segmented: leaves out what is marked ``err``: there the cutting into words may be wrong, which does
            not matter for lines.

    Raises:
        ConfigError: C52 unknown split, C185 unknown unit, those of ``TextRules``.
        DataError: D124 another tree, those of ``read_text``. Faults of single lines (D122, D123, D125, D126, those of
            ``read_image``) are raised when the line is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 1,
        text: TextRules | None = None,
        unit: Unit = "lines",
        only_well_segmented: bool = False,
    ) -> None:
        check_split(split)
        if unit not in ("lines", "words"):
            what = f"there is no unit {unit!r}"
            raise ConfigError("C185", "dataset.layout.unit", what, nearest(str(unit), ["lines", "words"]))
        root = Path(root)
        listed = {name: _listed(root, name) for name in _LISTS}
        picture = partial(_picture, root / unit, _is_flat(root / unit))
        transcribed = list(_transcribed(root, unit, picture))
        lines = once(line for line, well in transcribed if well or not only_well_segmented)
        splits = {name: _chosen(lines, ids) for name, (_, ids) in listed.items()}
        doubts = list(_unknown(*listed[split], {line.key for line, _ in transcribed}))
        super().__init__(splits, split, text or TextRules(), channels, doubts)


def _listed(root: Path, split: str) -> tuple[Path, list[str]]:
    for place in _PLACES:
        for name in _LISTS[split]:
            path = root / place / name
            if os.path.isfile(path):
                return path, list(dict.fromkeys(read_text(path).split()))
    what = f"there is no list of the split {split}; expected {_TREE}"
    raise DataError("D124", root, what, _FIX)


def _transcribed(root: Path, unit: Unit, picture: partial[Path]) -> Iterator[tuple[Line, bool]]:
    """Every line or word with whether it is marked as well segmented."""
    for path in (root / "ascii" / f"{unit}.txt", root / f"{unit}.txt"):
        if os.path.isfile(path):
            yield from _from_ascii(path, unit, picture)
            return
    files = sorted((root / "xml").glob("*.xml"))
    if not files:
        raise DataError("D124", root, f"there are no transcriptions; expected {_TREE}", _FIX)
    for path in files:
        yield from _from_xml(path, unit, picture)


def _from_ascii(path: Path, unit: Unit, picture: partial[Path]) -> Iterator[tuple[Line, bool]]:
    for number, row in enumerate(read_text(path).split("\n"), 1):
        if not row.strip() or row.startswith("#"):
            continue
        parts, place = row.rstrip("\r").split(" ", _COLUMNS), f"{path}:{number}"
        if len(parts) <= _COLUMNS or parts[1] not in ("ok", "err"):
            fix = "restore the file as it was published"
            fault = DataError("D123", place, f"is no row of {path.name}", fix)
            yield Line(parts[0], picture(parts[0]), place=place, fault=fault), True
            continue
        text = parts[_COLUMNS].replace("|", " ")
        yield Line(parts[0], picture(parts[0]), text, place), parts[1] == "ok"


def _from_xml(path: Path, unit: Unit, picture: partial[Path]) -> Iterator[tuple[Line, bool]]:
    try:
        form = parse_xml(path)
    except DataError as error:
        yield Line(path.stem, picture(path.stem), place=str(path), fault=error), True
        return
    for line in elements(form, "line"):
        well = attribute(line, "segmentation") != "err"
        for element in [line] if unit == "lines" else elements(line, "word"):
            key = attribute(element, "id")
            yield Line(key, picture(key), attribute(element, "text"), f"{path}, {key}"), well


def _picture(folder: Path, flat: bool, key: str) -> Path:
    form = "-".join(key.split("-")[:2])
    return folder / f"{key}.png" if flat else folder / key.split("-")[0] / form / f"{key}.png"


def _is_flat(folder: Path) -> bool:
    """Whether the pictures lie in one folder instead of a folder for each form."""
    if not os.path.isdir(folder):
        raise DataError("D124", folder, f"there is no such folder; expected {_TREE}", _FIX)
    return next(folder.glob("*.png"), None) is not None


def _chosen(lines: Sequence[Line], ids: Collection[str]) -> list[Line]:
    """Lines that a list names, or whose form or line it names, in the order of the transcriptions.

    A form that cannot be read belongs where one of its lines is listed.
    """
    wanted = set(ids)
    forms = {"-".join(name.split("-")[:2]) for name in ids}
    return [
        line
        for line in lines
        if not wanted.isdisjoint(_names(line.key)) or (line.fault is not None and line.key in forms)
    ]


def _names(key: str) -> Sequence[str]:
    """The key of a line or word with those of what it is part of: a01-000u-00-00, a01-000u-00, a01-000u."""
    parts = key.split("-")
    return ["-".join(parts[:count]) for count in range(2, len(parts) + 1)] or [key]


def _unknown(path: Path, ids: Sequence[str], found: Collection[str]) -> Iterator[Finding]:
    known = {name for key in found for name in _names(key)}
    missing = [name for name in ids if name not in known]
    if missing:
        what = f"lists {len(missing)} ids without a transcription (the first is {missing[0]})"
        yield Finding(str(path), "D125", what, "add the transcriptions, or take them off the list", "warning")
