"""Words cut out of scenes, listed in one text file a split: IIIT5K, SVT and others in this layout."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from visionkit.datasets.line_splits import check_split, require_lines
from visionkit.datasets.listing import Share
from visionkit.datasets.text_files import read_text
from visionkit.datasets.text_lines import Line, TextLines, once
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import ConfigError, DataError


class SceneText(TextLines):
    """Rows of a picture's path and what is written in it, with a tab between them, or else the first space.

    Args:
        root: the data's folder.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        text: rules of the text.
        lists: file of each split, from ``root``; a split that is not named has no words.
        pictures: folder from which the lists name pictures; by default the list's own.
        val_share: share of the training words, by a hash of their keys, that validates where no list does.
        groups: what parts the name of a scene from the number of its word (``_`` in ``1009_2.png``). All words of a
            scene then train, or all validate: they share its letters and its light. None where names tell no scene.

    Raises:
        ConfigError: C52 unknown split, C53 a share that is none, those of ``TextRules``.
        DataError: D124 no such list, D131 no words, those of ``read_text``. Faults of single words (D115, D122 one
            key twice, D123 row, those of ``read_image``) are raised when the word is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 3,
        text: TextRules | None = None,
        lists: Mapping[str, str] | None = None,
        pictures: str | None = None,
        val_share: float = 0.0,
        groups: str | None = None,
    ) -> None:
        check_split(split)
        if not 0 <= val_share < 1:
            what = f"{val_share} is no share"
            raise ConfigError("C53", "dataset.layout.val_share", what, "set it to 0 or more, and less than 1")
        lists = {"train": "train_gt.txt", "test": "test_gt.txt"} if lists is None else lists
        splits = {name: _words(Path(root), file, pictures) for name, file in lists.items()}
        require_lines(splits, Path(root))
        if "val" not in splits:
            share = Share((1 - val_share, val_share, 0))
            chosen = [(share.split(_scene(word.key, groups)), word) for word in splits.get("train", [])]
            splits |= {name: [word for part, word in chosen if part == name] for name in ("train", "val")}
        super().__init__(splits, split, text or TextRules(), channels)


def _scene(key: str, separator: str | None) -> str:
    """The key without the number of the word; the whole key where it has none."""
    folders, between, name = key.rpartition("__")
    scene = name.rpartition(separator)[0] if separator else ""
    return f"{folders}{between}{scene or name}"


def _words(root: Path, file: str, pictures: str | None) -> list[Line]:
    path = root / file
    if not os.path.isfile(path):
        fix = "set dataset.root to your data (data/README.md), or name the lists in dataset.layout.lists"
        raise DataError("D124", path, "there is no such list", fix)
    folder = path.parent if pictures is None else root / pictures
    return once(_rows(path, folder))


def _rows(path: Path, folder: Path) -> Iterator[Line]:
    for number, row in enumerate(read_text(path).split("\n"), 1):
        row = row.rstrip("\r")
        if not row.strip():
            continue
        name, separator, text = row.partition("\t" if "\t" in row else " ")
        picture, place = Path(name.strip()), f"{path}:{number}"
        if not picture.name:
            fault = DataError("D123", place, "names no picture", "write the path, a tab, and the text")
            yield Line(f"row_{number}", path, place=place, fault=fault)
            continue
        line = Line("__".join(picture.with_suffix("").parts), folder / picture, text, place)
        if separator:
            yield line
        else:
            what = "names a picture and no text"
            yield replace(line, fault=DataError("D123", place, what, "write the path, a tab, and the text"))
