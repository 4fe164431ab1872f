"""What all datasets of lines do: characters that a charset lacks, lengths, sizes, odd pictures."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from text_trees import line_picture

from visionkit.datasets.check import check
from visionkit.datasets.text_lines import Line, TextLines, once
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import DataError


def lines_of(root: Path, split: str, rules: TextRules, **texts: str) -> TextLines:
    def line(key: str) -> Line:
        if not (root / f"{key}.png").exists():
            line_picture(root / f"{key}.png", width=40)
        return Line(key, root / f"{key}.png", texts[key])

    train = [replace(line("a"), key="of_training")]
    return TextLines({"train": train, "test": [line(key) for key in texts]}, split, rules)


def test_a_character_that_only_evaluation_has_stays_and_is_reported(tmp_path: Path) -> None:
    test = lines_of(tmp_path, "test", TextRules(), a="ab", b="a\u00df", c="\u00df")
    assert test[1]["text"] == "a\u00df"
    (finding,) = check(test)
    assert (finding.code, finding.severity, finding.key) == ("D116", "warning", "b")
    assert "U+00DF" in finding.what
    assert ": 2)" in finding.what


def test_a_character_of_training_that_a_charset_lacks_is_an_error(tmp_path: Path) -> None:
    train = lines_of(tmp_path, "train", TextRules(characters="a"), a="ab")
    with pytest.raises(DataError, match=r"D115.*'b' \(U\+0062\)"):
        train[0]
    assert [finding.code for finding in check(train)] == ["D115"]


def test_text_that_ctc_cannot_align_is_reported_with_its_lengths(tmp_path: Path) -> None:
    rules = TextRules(columns_per_height=2.5)  # 40 x 12 pixels: 8 columns
    lines = lines_of(tmp_path, "test", rules, a="abcdefgh", b="abcdefgg", c="")
    found = list(check(lines))
    assert [(finding.code, finding.key) for finding in found] == [("D118", "b"), ("D117", "c")]
    assert "8 characters need 9 columns" in found[0].what
    assert "give 8" in found[0].what


def test_one_pixel_and_very_wide_lines_are_read(tmp_path: Path) -> None:
    line_picture(tmp_path / "a.png", width=1, height=1)
    line_picture(tmp_path / "b.png", width=4000, height=8)
    lines = lines_of(tmp_path, "test", TextRules(), a="x", b="x")
    assert [tuple(lines[index]["image"].shape) for index in range(2)] == [(3, 1, 1), (3, 8, 4000)]
    assert [lines.size(index) for index in range(2)] == [(1, 1), (8, 4000)]
    assert [finding.code for finding in check(lines)] == ["D34"]


def test_keys_that_are_listed_again_are_one_fault(tmp_path: Path) -> None:
    first, second = Line("a", tmp_path / "a.png", "x", "list:1"), Line("a", tmp_path / "a.png", "y", "list:2")
    kept, other = once([first, Line("b", tmp_path / "b.png"), second])
    assert (kept.key, other.key, other.fault) == ("a", "b", None)
    assert kept.fault is not None
    assert (kept.fault.code, "list:1 and list:2" in kept.fault.what) == ("D122", True)


def test_a_missing_picture_is_an_error_of_its_line(tmp_path: Path) -> None:
    lines = TextLines({"train": [Line("a", tmp_path / "no.png", "x")]}, "train", TextRules(columns_per_height=8))
    assert [finding.code for finding in check(lines)] == ["D10"]
    assert len(TextLines({"train": [Line("a", tmp_path / "no.png", "x")]}, "val", TextRules())) == 0


def test_colour_and_grey(tmp_path: Path) -> None:
    grey = TextLines({"train": [Line("a", tmp_path / "a.png", "x")]}, "train", TextRules(), channels=1)
    picture = line_picture(tmp_path / "a.png")
    assert torch.equal(grey[0]["image"], torch.from_numpy(picture)[None])
    assert grey[0]["valid"].shape == picture.shape


def test_pictures_of_one_key_are_named_as_what_they_are(tmp_path: Path) -> None:
    (only,) = once([Line("a", tmp_path / "a.png", place="list:1"), Line("a", tmp_path / "a.jpg", place="list:2")])
    assert only.fault is not None
    assert only.fault.code == "D122"
    assert only.fault.what == "a.png and a.jpg have the same name but for the ending (list:1 and list:2)"
    assert only.fault.fix == "rename one of them"
    (other,) = once([Line("x__a", tmp_path / "x/a.png"), Line("x__a", tmp_path / "x__a.png")])
    assert other.fault is not None
    assert "have the same key x__a" in other.fault.what


def test_lines_of_two_splits_are_one_warning(tmp_path: Path) -> None:
    line_picture(tmp_path / "a.png")
    a, b, c = (Line(key, tmp_path / "a.png", "x", f"list:{key}") for key in "abc")
    broken = Line("d", tmp_path / "a.png", fault=DataError("D123", "list:d", "is no row", "mend it"))
    mended = Line("d", tmp_path / "a.png", "x")
    elsewhere = Line("c", tmp_path / "other/a.png", "x")
    splits = {"train": [a, b, broken, elsewhere], "val": [b, mended], "test": [c, a, broken, b]}
    found = {split: list(TextLines(splits, split, TextRules()).problems()) for split in splits}
    assert [[one.code for one in some] for some in found.values()] == [["D148"]] * 3
    assert {split: some[0].what.partition(": ")[2] for split, some in found.items()} == {
        "train": "1 in val, 2 in test (the first is b)",
        "val": "1 in train, 1 in test (the first is b)",
        "test": "2 in train, 1 in val (the first is a)",
    }
    assert found["test"][0].severity == "warning"
    assert not list(TextLines({**splits, "test": [c], "val": []}, "test", TextRules()).problems())
