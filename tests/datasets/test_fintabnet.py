"""FinTabNet: pages of PDF files, boxes in points with y upwards."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from table_trees import annotation, cells, write_lines

from visionkit.datasets.check import check_splits
from visionkit.datasets.fintabnet import FinTabNet
from visionkit.errors import ConfigError, DataError

HEIGHT_PT, DPI = 100, 144


@pytest.fixture
def root(tmp_path):
    """A page of 80 x 100 points on which two dark squares stand for the text of two cells."""
    page = np.full((HEIGHT_PT * DPI // 72, 160, 3), 255, np.uint8)
    page[60:80, 20:40] = 0  # 10..20 points to the right, 60..70 points up
    page[60:80, 100:120] = 90
    path = tmp_path / "img" / "AAL" / "2002" / "page_7.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(page).save(path)
    squares = cells("a", "b")
    squares[0]["bbox"], squares[1]["bbox"] = [10, 60, 20, 70], [50, 60, 60, 70]
    for split in ("train", "val"):
        line = {**annotation("AAL/2002/page_7.pdf", split, squares), "table_id": 3, "bbox": [8, 58, 62, 72]}
        lines = [line, {**line, "filename": "AAL/2002/page_8.pdf"}] if split == "val" else [line]
        write_lines(tmp_path / f"FinTabNet_1.0.0_cell_{split}.jsonl", lines)
    return tmp_path


@pytest.mark.parametrize("margin_pt", [0, 6, 500])
def test_boxes_are_where_the_text_is(root, margin_pt) -> None:
    train = FinTabNet(root, "train", dpi=DPI, margin_pt=margin_pt)
    sample = train[0]
    assert train.key(0) == "AAL__2002__page_7__1"
    assert train.labels["table"].content == ("a", "b")
    for cell, grey in zip(sample["table"].cells, (0, 90), strict=True):
        left, top, right, bottom = map(round, cell.box)
        assert (sample["image"][:, top:bottom, left:right] == grey).all()
        assert int((sample["image"][0] == grey).sum()) == (right - left) * (bottom - top) == 400
    sizes = {0: (28, 108), 6: (52, 132), 500: (200, 160)}
    assert tuple(sample["image"].shape[1:]) == tuple(sample["valid"].shape) == sizes[margin_pt]


def test_the_box_of_the_table_alone_is_enough(root) -> None:
    file = root / "FinTabNet_1.0.0_cell_train.jsonl"
    line = json.loads(file.read_text())
    for cell in line["html"]["cells"]:
        del cell["bbox"]
    write_lines(file, [line, {key: value for key, value in line.items() if key != "bbox"}])
    train = FinTabNet(root, "train", margin_pt=0)
    assert train[0]["image"].shape == (3, 28, 108)
    assert train[1]["image"].shape == (3, 200, 160)
    assert torch.equal(train[0]["image"], train[1]["image"][:, 56:84, 16:124])


def test_faults(root) -> None:
    (finding,) = check_splits(FinTabNet, ["train", "val"], root=root)
    assert finding.code == "D145"
    assert "pdftoppm -r 144" in finding.fix
    assert finding.path.endswith("img/AAL/2002/page_8.png")
    with pytest.raises(DataError, match=r"D20.*cell_test.jsonl"):
        FinTabNet(root, "test")
    with pytest.raises(ConfigError, match="C209"):
        FinTabNet(root, "train", dpi=0)
    with pytest.raises(ConfigError, match="C52"):
        FinTabNet(root, "dev")
    file = root / "FinTabNet_1.0.0_cell_train.jsonl"
    line = json.loads(file.read_text())
    write_lines(file, [{**line, "bbox": [9, 9]}, {"html": {}}])
    assert [finding.code for finding in check_splits(FinTabNet, ["train"], root=root)] == ["D138", "D139"]
