"""Tables of lines: columns, splits, quotes, and rows that are none."""

import string
from pathlib import Path

import pytest
from text_trees import line_picture

from visionkit.datasets.check import check
from visionkit.datasets.line_table import LineTable
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import DataError

ROWS = [("p/a.jpg", "train", 'er sagte "ja"'), ("p/b.jpg", "val", "x, y"), ("p/c.jpg", "test", "z")]


def tree(root: Path, table: str, separator: str, quoted: bool = False) -> None:
    for name, _, _ in ROWS:
        line_picture(root / name)
    rows = [
        separator.join([name, split, '"' + text.replace('"', '""') + '"' if quoted else text])
        for name, split, text in ROWS
    ]
    (root / table).write_text("\n".join([separator.join(["file", "split", "text"]), *rows]) + "\n")


@pytest.mark.parametrize(("table", "separator", "quoted"), [("lines.tsv", "\t", False), ("gt.csv", ",", True)])
def test_tables_with_tabs_or_commas(tmp_path: Path, table: str, separator: str, quoted: bool) -> None:
    tree(tmp_path, table, separator, quoted)
    for name, split, text in ROWS:
        lines = LineTable(tmp_path, split, table=table)
        assert len(lines) == 1
        assert (lines[0]["key"], lines[0]["text"]) == (name[:-4].replace("/", "__"), text)


def test_without_a_column_of_splits_a_hash_decides(tmp_path: Path) -> None:
    names = [f"{index}.png" for index in range(40)]
    for name in names:
        line_picture(tmp_path / name)
    (tmp_path / "lines.tsv").write_text("text\tfile\n" + "".join(f"a\t{name}\n" for name in names))
    sizes = [len(LineTable(tmp_path, split, fractions=(0.5, 0.25, 0.25))) for split in ("train", "val", "test")]
    assert sum(sizes) == 40
    assert min(sizes) > 2


def test_rows_that_are_none(tmp_path: Path) -> None:
    tree(tmp_path, "lines.tsv", "\t")
    with (tmp_path / "lines.tsv").open("a") as file:
        file.write("p/d.jpg\ttrain\np/e.jpg\tsometimes\tq\np/a.jpg\ttrain\tagain\n\n")

    def found(split: str) -> list[tuple[str, str]]:
        lines = LineTable(tmp_path, split, text=TextRules(characters=string.printable))
        return [(finding.code, finding.path.rpartition("/")[2]) for finding in check(lines)]

    nobody_knows_whose = ("D123", "lines.tsv:6")
    assert found("val") == found("test") == [nobody_knows_whose]
    assert found("train") == [("D122", "a.jpg"), ("D123", "lines.tsv:5"), nobody_knows_whose]


def test_rows_without_a_path_and_pictures_of_one_name(tmp_path: Path) -> None:
    tree(tmp_path, "lines.tsv", "\t")
    with (tmp_path / "lines.tsv").open("a") as file:
        file.write("\ttrain\tabc\n \ttrain\tabc\n/\tval\tabc\np/a.png\ttrain\tabc\n")
    rules = TextRules(characters=string.printable)
    train, val = (list(check(LineTable(tmp_path, split, text=rules))) for split in ("train", "val"))
    assert [(one.code, one.path.rpartition("/")[2]) for one in train] == [
        ("D122", "a.jpg"),
        ("D123", "lines.tsv:5"),
        ("D123", "lines.tsv:6"),
    ]
    assert "a.jpg and a.png have the same name but for the ending" in train[0].what
    assert [(one.code, one.path.rpartition("/")[2]) for one in val] == [("D123", "lines.tsv:7")]


def test_tables_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="D10"):
        LineTable(tmp_path, "train")
    (tmp_path / "lines.tsv").write_text("")
    with pytest.raises(DataError, match=r"D123.*nothing"):
        LineTable(tmp_path, "train")
    (tmp_path / "lines.tsv").write_text("image\ttext\n")
    with pytest.raises(DataError, match=r"D123.*image, text"):
        LineTable(tmp_path, "train")
    (tmp_path / "lines.tsv").write_text("file\ttext\n")
    with pytest.raises(DataError, match="D131"):
        LineTable(tmp_path, "train")
    (tmp_path / "lines.csv").write_text('file,text\na.png,"open\n')
    with pytest.raises(DataError, match="D123"):
        LineTable(tmp_path, "train", table="lines.csv")


@pytest.mark.realdata
def test_the_real_letters(real_data: Path) -> None:
    sets = [LineTable(real_data / "cremma_mss19", split) for split in ("train", "val", "test")]
    assert [len(lines) for lines in sets] == [620, 223, 233]
    assert {len(lines.labels["text"]) for lines in sets} == {94}
