"""Pictures of lines with a text file for each, as OCRopus and kraken keep their ground truth."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from visionkit.datasets.findings import Finding
from visionkit.datasets.images import SUFFIXES
from visionkit.datasets.line_splits import by_name, check_split, require_lines
from visionkit.datasets.listing import Listing
from visionkit.datasets.text_files import read_text
from visionkit.datasets.text_lines import Line, TextLines
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import DataError

_PICTURES = SUFFIXES | {f"{kind}{end}" for kind in (".bin", ".nrm", ".dew") for end in SUFFIXES}
_TEXTS = frozenset({".gt.txt", ".txt"})


class LineFolder(TextLines):
    """``a.png`` (or ``a.bin.png``) with ``a.gt.txt`` (or ``a.txt``) beside it, folders inside too.

    Beside ``a.gt.txt`` an ``a.txt`` is what OCRopus recognised, and is not read.

    Where all pictures lie in folders train, val and test, these are the splits. Else a hash decides
    (``line_splits.by_name``): of each line's key, or of the folders that it lies in.

    Args:
        root: the data's folder.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        text: rules of the text.
        images, texts: folders in ``root``; the same folders and names in both.
        fractions: shares of train, val and test where there are no split folders.
        folders: so many folders of a key decide its split together; 0 for the whole key.

    Raises:
        ConfigError: C52 unknown split, C53 fractions that are none, those of ``TextRules``.
        DataError: D124 no such folder, D131 no lines. Faults of single lines (D11, D23, D115, D119 no text, those of
            ``read_text`` and ``read_image``) are raised when the line is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 1,
        text: TextRules | None = None,
        images: str = "",
        texts: str = "",
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        folders: int = 0,
    ) -> None:
        check_split(split)
        for folder in (Path(root) / images, Path(root) / texts):
            if not os.path.isdir(folder):
                fix = "set dataset.root to your data (data/README.md shows the tree)"
                raise DataError("D124", folder, "there is no such folder", fix)
        pictures = Listing.of(Path(root) / images, _PICTURES)
        written = Listing.of(Path(root) / texts, _TEXTS)
        splits = by_name(_lines(pictures, written), fractions, folders)
        for number, fault in enumerate([*pictures.faults, *written.faults]):  # nobody knows whose lines they hold
            splits[split].append(Line(f"unreadable_folder_{number}", Path(fault.place), fault=fault))
        require_lines(splits, Path(root) / images)
        super().__init__(splits, split, text or TextRules(), channels, _without_picture(pictures.files, written.files))


def _lines(pictures: Listing, written: Listing) -> Iterator[Line]:
    for key, files in pictures.files.items():
        texts = _truths(written.files.get(key, []))
        if len(files) > 1 or len(texts) > 1:
            same = files if len(files) > 1 else texts
            what = f"{' and '.join(path.name for path in same)} have the same name but for the ending"
            yield Line(key, files[0], fault=DataError("D23", same[0], what, "rename or remove one of them"))
        elif not texts:
            fault = DataError("D119", files[0], "has no text", f"add {files[0].parent / key.split('__')[-1]}.gt.txt")
            yield Line(key, files[0], fault=fault)
        else:
            yield _read(key, files[0], texts[0])


def _truths(texts: Sequence[Path]) -> Sequence[Path]:
    """Those of them that are marked as truth, or all where none is."""
    return [path for path in texts if _is_truth(path)] or texts


def _is_truth(path: Path) -> bool:
    return path.name.lower().endswith(".gt.txt")


def _read(key: str, picture: Path, text: Path) -> Line:
    try:
        return Line(key, picture, read_text(text), str(text))
    except DataError as error:
        return Line(key, picture, place=str(text), fault=error)


def _without_picture(pictures: Mapping[str, list[Path]], written: Mapping[str, list[Path]]) -> Iterator[Finding]:
    for key in sorted(written.keys() - pictures.keys()):
        truth = _truths(written[key])[0]
        if _is_truth(truth):  # other text files say something else
            yield Finding(str(truth), "D121", "is a text without a picture", "add the picture", "warning")
