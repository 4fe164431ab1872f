"""ICDAR 2013: its XML, cut into pictures of tables and of their parts."""

import numpy as np
import pytest
from table_trees import picture

from visionkit.datasets.check import check_splits
from visionkit.datasets.icdar2013_tables import ICDAR2013
from visionkit.datasets.pubtabnet import PubTabNet
from visionkit.errors import ConfigError, DataError
from visionkit.text.otsl import to_otsl

CELL = '<cell id="1" start-row="{0}" start-col="{1}" {2}><bounding-box {3}/><content>{4}</content></cell>'
BOX = 'x1="{0}" y1="{1}" x2="{2}" y2="{3}"'


def cell(row: int, column: int, text: str, box: tuple | None = (0, 0, 9, 9), ends: str = "") -> str:
    return CELL.format(row, column, ends, BOX.format(*box), text)


def write(root, name: str, *tables: list[str]) -> None:
    """An XML file with regions of cells in each table."""
    body = "".join(
        "<table>" + "".join(f"<region>{region}</region>" for region in regions) + "</table>" for regions in tables
    )
    path = root / "original" / "set" / f"{name}-str.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<?xml version="1.0" encoding="UTF-8"?><document>{body}</document>')


@pytest.fixture
def root(tmp_path):
    first = cell(0, 0, "a\n b", (10, 80, 30, 90), 'end-row="1"') + cell(0, 1, "c", (40, 80, 60, 90), 'end-col="2"')
    first += cell(1, 2, "d", (50, 60, 60, 70))
    write(tmp_path, "x", [first], [cell(1, 1, "e"), cell(3, 2, "f")])
    for name, split in (("x_t1", "train"), ("x_t2_r1", "train"), ("x_t2_r2", "val")):
        picture(tmp_path / split / f"{name}.png", 60, 124)
    return tmp_path


def test_structure_text_and_boxes(root) -> None:
    train = ICDAR2013(root, "train")
    assert [train.key(index) for index in range(2)] == ["x_t1", "x_t2_r1"]
    table = train[0]["table"]
    assert to_otsl(table.structure) == ("<tbody>", *"CCL", "NL", *"UCC", "NL", "</tbody>")
    assert ["".join(cell.tokens) for cell in table.cells] == ["a b", "c", "", "d"]
    assert [cell.box for cell in table.cells] == [(12, 12, 52, 32), (72, 12, 112, 32), None, (92, 52, 112, 72)]
    assert train[0]["image"].shape == (3, 60, 124)


def test_parts_and_rows_counted_from_1(root) -> None:
    assert to_otsl(ICDAR2013(root, "train")[1]["table"].structure) == ("<tbody>", "C", "NL", "</tbody>")
    assert ICDAR2013(root, "val")[0]["table"].cells[0].tokens == ("f",)
    assert ICDAR2013(root, "test").key(0) == "x_t2_r2"


def test_faults(root) -> None:
    write(root, "box", [cell(0, 0, "a", (9, 9, 1, 1))])
    write(root, "word", [cell(0, 0, "a", ("2\u00df", 0, 1, 1))])
    write(root, "twice", [cell(0, 0, "a") + cell(0, 0, "b")])
    write(root, "row", [cell(0, 0, "a").replace('start-row="0"', 'start-row="x"')])
    write(root, "far", [cell(0, 0, "a", ends='end-col="999999999"')])
    (root / "original" / "set" / "broken-str.xml").write_text("<document><table>")
    for name in ("box", "word", "twice", "row", "far", "broken"):
        picture(root / "train" / f"{name}_t1.png")
    findings = list(check_splits(ICDAR2013, ["train"], root=root))
    found = {finding.key: finding.code for finding in findings if finding.severity == "error"}
    assert found == {
        "box_t1": "D138",
        "word_t1": "D138",
        "twice_t1": "D137",
        "row_t1": "D135",
        "far_t1": "D137",
        "broken_t1": "D146",
    }
    with pytest.raises(DataError, match="D20"):
        ICDAR2013(root / "gone", "train")
    with pytest.raises(ConfigError, match="C52"):
        ICDAR2013(root, "dev")
    for path in (root / "val").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="D22"):
        ICDAR2013(root, "test")


@pytest.mark.realdata
def test_the_xml_gives_what_the_lines_say(real_data) -> None:
    home, faults = real_data / "icdar2013_table", []
    for split, count in (("train", 91), ("val", 29)):
        from_xml, from_lines = ICDAR2013(home, split), PubTabNet(home, split)
        places = {from_lines.key(index): index for index in range(len(from_lines))}
        assert len(from_xml) == len(places) == count
        for index in range(count):
            sample, errors = from_xml.examine(index)
            other = from_lines.examine(places[sample["key"]])[0]["table"]
            if errors:
                faults.append((sample["key"], errors[0].code))
                continue
            table, shape = sample["table"], sample["image"].shape
            assert table.structure == other.structure
            assert [cell.tokens for cell in table.cells] == [cell.tokens for cell in other.cells]
            boxes = np.array([cell.box for cell in table.cells if cell.box])
            assert np.abs(boxes - [cell.box for cell in other.cells if cell.box]).max() <= 1
            assert (boxes >= -1).all()
            assert (boxes[:, 2:].max(0) <= (shape[2] + 1, shape[1] + 1)).all()
    # two typing errors of the original files
    assert faults == [("us-018_t7", "D138"), ("us-035a_t2_r1", "D138")]
