"""The user's own pictures of tables with HTML files."""

import pytest
from table_trees import picture

from visionkit.datasets.check import check_splits
from visionkit.datasets.table_folder import TableFolder
from visionkit.errors import ConfigError, DataError
from visionkit.labels import Cell
from visionkit.text.table_grid import NotRectangular, grid_of


def write(root, name: str, text: str | bytes) -> None:
    path = root / "tables" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def page(rows: str) -> str:
    return f"<!doctype html>\n<table class='x'>\n{rows}\n</table>"


@pytest.fixture
def root(tmp_path):
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / "a.png")
        write(tmp_path, f"{split}/a.html", page("<tr><th>n</th></tr> <tr><td><b>5</b> &lt; 6</td></tr>"))
    return tmp_path


def test_samples(root) -> None:
    train = TableFolder(root, "train")
    table = train[0]["table"]
    assert table.cells == (Cell(("n",)), Cell(("<b>", "5", "</b>", " ", "<", " ", "6")))
    assert table.structure[:3] == ("<thead>", "<tr>", "<td>")
    assert train.labels == TableFolder(root, "val").labels
    assert train.labels["table"].content == (" ", "5", "6", "<", "n", "<b>", "</b>")


def test_without_split_folders_the_name_decides(tmp_path) -> None:
    for number in range(30):
        picture(tmp_path / "images" / f"t{number}.jpg")
        write(tmp_path, f"t{number}.htm", page("<tr><td>a</td></tr>"))
    keys = [{found.key(i) for i in range(len(found))} for found in (TableFolder(tmp_path, s) for s in ("train", "val"))]
    assert keys[0].isdisjoint(keys[1])
    assert len(keys[0]) > 15


def test_faults(root) -> None:
    for name in ("missing", "empty", "binary", "none", "ragged"):
        picture(root / "images" / "train" / f"{name}.png")
    write(root, "train/empty.html", "")
    write(root, "train/binary.html", b"\xff\xfe<table>\xff")
    write(root, "train/none.html", "<p>no table</p>")
    write(root, "train/ragged.html", page("<tr><td>1</td><td>2</td></tr><tr><td>3</td></tr>"))
    write(root, "train/lonely.html", page(""))
    findings = list(check_splits(TableFolder, ["train"], root=root))
    assert {finding.path.split("/")[-1]: finding.code for finding in findings} == {
        "missing.png": "D143",
        "empty.html": "D12",
        "binary.html": "D144",
        "none.html": "D144",
        "ragged.png": "D142",
        "lonely.html": "D33",
    }
    with pytest.raises(ConfigError, match="C52"):
        TableFolder(root, "dev")
    with pytest.raises(DataError, match="D20"):
        TableFolder(root / "gone", "train")


def test_indented_files_teach_no_white_space(root) -> None:
    rows = "<tr>\n  <td>\n    12\n  </td>\n  <td>\n</td><td>&nbsp;</td>\n<td>a\n     b</td></tr>"
    write(root, "train/a.html", page(rows))
    train = TableFolder(root, "train")
    assert train[0]["table"].cells == (Cell(("1", "2")), Cell(), Cell(), Cell(("a", " ", "b")))
    assert set(train.labels["table"].content) - {"<b>", "</b>"} == set(" 12ab")


def test_only_training_tables_are_filled(root) -> None:
    for split in ("train", "val"):
        write(root, f"{split}/a.html", page("<tr><td>1</td><td>2</td></tr><tr><td>3</td></tr>"))
    train, val = (TableFolder(root, split, fill=True) for split in ("train", "val"))
    assert len(train[0]["table"].cells) == 4
    assert val[0]["table"] == TableFolder(root, "val")[0]["table"]
    assert len(val[0]["table"].cells) == 3
    assert val.labels == train.labels


def test_fill(root) -> None:
    write(root, "train/a.html", page("<tr><td>1</td><td>2</td></tr><tr><td>3</td></tr>"))
    with pytest.raises(NotRectangular):
        grid_of(TableFolder(root, "train")[0]["table"].structure)
    table = TableFolder(root, "train", fill=True)[0]["table"]
    assert grid_of(table.structure).columns == 2
    assert table.cells[-1] == Cell()
    write(root, "train/a.html", page("<tr><td colspan='999999999'>1</td></tr>"))
    with pytest.raises(DataError, match="D137"):
        TableFolder(root, "train", fill=True)[0]
    assert len(TableFolder(root, "train")[0]["table"].cells) == 1


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ("<tr><td>" * 3000, 3000),
        ("<tr><td>a < b <5</td></tr>", 1),
        ("<tr><td><table><tr><td>x</td></tr></table></td></tr>", 1),
        ("<tr>" + "<td>1</td>" * 60 + "</tr>", 60),
        ("", 0),
    ],
)
def test_hostile_files_give_their_cells(root, rows, count) -> None:
    write(root, "train/a.html", page(rows))
    sample, errors = TableFolder(root, "train").examine(0)
    assert errors == []
    assert len(sample["table"].cells) == count
