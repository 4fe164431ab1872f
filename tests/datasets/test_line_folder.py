"""Pictures with a text file each: names, splits, and what is missing."""

from pathlib import Path

import pytest
from text_trees import line_picture

from visionkit.config import build, compose
from visionkit.datasets.check import check
from visionkit.datasets.line_folder import LineFolder
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import ConfigError, DataError


def put(folder: Path, name: str, text: str | bytes, ending: str = ".png", written: str = ".gt.txt") -> None:
    line_picture(folder / f"{name}{ending}")
    data = text.encode() if isinstance(text, str) else text
    (folder / f"{name}{written}").write_bytes(data)


def all_in_one(root: Path, **options: object) -> LineFolder:
    return LineFolder(root, "train", fractions=(1, 0, 0), **options)  # type: ignore[arg-type]


def test_texts_beside_their_pictures_whatever_the_endings(tmp_path: Path) -> None:
    put(tmp_path / "x/y", "a", "eins\n", ".bin.png")
    put(tmp_path, "b", "zwei  \t drei", ".jpg", ".txt")
    lines = all_in_one(tmp_path)
    assert {lines.key(index): lines[index]["text"] for index in range(2)} == {"x__y__a": "eins", "b": "zwei drei"}


def test_texts_in_a_folder_of_their_own(tmp_path: Path) -> None:
    line_picture(tmp_path / "Images/7/a.png")
    (tmp_path / "Text/7").mkdir(parents=True)
    (tmp_path / "Text/7/a.txt").write_text("Wort")
    lines = all_in_one(tmp_path, images="Images", texts="Text")
    assert (lines.key(0), lines[0]["text"]) == ("7__a", "Wort")


def test_folders_named_like_splits_are_the_splits(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "validation", "test")):
        for index in range(number + 1):
            put(tmp_path / split, str(index), "abc")
    assert [len(LineFolder(tmp_path, split)) for split in ("train", "val", "test")] == [1, 2, 3]


def test_lines_beside_folders_named_like_splits_are_no_guess(tmp_path: Path) -> None:
    put(tmp_path / "train", "a", "abc")
    put(tmp_path, "b", "abc")
    with pytest.raises(DataError, match=r"D124.*b\.png.*1 of 2"):
        LineFolder(tmp_path, "train")


@pytest.mark.parametrize("folders", [0, 1])
def test_a_hash_splits_by_line_or_by_folder_and_new_lines_move_none(tmp_path: Path, folders: int) -> None:
    def keys() -> dict[str, set[str]]:
        found = {}
        for split in ("train", "val", "test"):
            lines = LineFolder(tmp_path, split, fractions=(0.4, 0.3, 0.3), folders=folders)
            found[split] = {lines.key(index) for index in range(len(lines))}
        return found

    for page in range(12):
        for line in range(3):
            put(tmp_path / f"page{page}", str(line), "abc")
    before = keys()
    assert all(before.values())
    assert len(set().union(*before.values())) == 36
    pages = [{key.split("__")[0] for key in members} for members in before.values()]
    assert (sum(map(len, pages)) == 12) == (folders == 1)
    put(tmp_path / "page3", "more", "abc")
    assert all(before[split] <= after for split, after in keys().items())


def test_what_is_missing_or_damaged(tmp_path: Path) -> None:
    put(tmp_path, "good", "gut")
    put(tmp_path, "latin", "süß".encode("latin-1"))
    put(tmp_path, "twice", "gut")
    line_picture(tmp_path / "twice.jpg")
    line_picture(tmp_path / "alone.png")
    (tmp_path / "orphan.gt.txt").write_text("gut")
    put(tmp_path, "blank", "\n")
    put(tmp_path, "empty", "")
    put(tmp_path, "broken", "gut")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = [(finding.code, finding.severity, finding.key) for finding in check(all_in_one(tmp_path))]
    assert sorted(found) == [
        ("D117", "warning", "blank"),
        ("D117", "warning", "empty"),
        ("D119", "error", "alone"),
        ("D120", "error", "latin"),
        ("D121", "warning", ""),
        ("D15", "error", "broken"),
        ("D23", "error", "twice"),
    ]


def test_what_was_recognised_is_not_the_truth(tmp_path: Path) -> None:
    put(tmp_path, "01", "wahr", ".bin.png")
    (tmp_path / "01.txt").write_text("erkannt")
    put(tmp_path, "02", "nur dies", written=".txt")
    lines = all_in_one(tmp_path)
    assert [lines[index]["text"] for index in range(2)] == ["wahr", "nur dies"]
    assert not list(check(lines))
    (tmp_path / "02.TXT").write_text("oder das")
    (tmp_path / "03.TXT").write_text("erkannt")
    (tmp_path / "03.gt.txt").write_text("ohne Bild")
    assert [(one.code, one.path) for one in check(all_in_one(tmp_path))] == [
        ("D121", str(tmp_path / "03.gt.txt")),
        ("D23", str(tmp_path / "02.TXT")),
    ]


def test_folders_that_are_not_there_or_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="D124"):
        LineFolder(tmp_path / "no", "train")
    with pytest.raises(DataError, match="D131"):
        LineFolder(tmp_path, "train")
    with pytest.raises(ConfigError, match="C52"):
        LineFolder(tmp_path, "training")
    put(tmp_path, "a", "")
    with pytest.raises(ConfigError, match=r"C186.*no text"):
        all_in_one(tmp_path)
    assert all_in_one(tmp_path, text=TextRules(characters="a"))[0]["text"] == ""


@pytest.mark.realdata
def test_the_real_manuscripts(real_data: Path) -> None:
    source = build(
        compose("train", ["dataset=caroline_minuscule", f"dataset.root={real_data / 'caroline_minuscule'}"]).dataset
    )
    sets = [source.split(split) for split in ("train", "val", "test")]
    assert [len(lines) for lines in sets] == [236, 42, 72]
    manuscripts = [{lines.key(index).partition("__")[0] for index in range(len(lines))} for lines in sets]
    assert list(map(len, manuscripts)) == [10, 2, 2]
    assert len(set.union(*manuscripts)) == 14
    page = [LineFolder(real_data / "read2017_lines", "train", 1, None, "Images", "Text", (1, 0, 0))]
    assert len(page[0]) == 23
