"""Tables on the disk: three files each, and the page that shows them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lxml import html
from PIL import Image

from visionkit.prediction.outputs import KINDS
from visionkit.prediction.predictor import Result, save_all
from visionkit.prediction.tables import moved_boxes, table_of, write_cell_boxes, write_table
from visionkit.tasks.table_panels import drawn, row, with_boxes
from visionkit.text.table_html import parse_table
from visionkit.types import Prediction

PAGE = (
    "<html><body><table><thead><tr><td colspan='2'>a &lt;b&gt;</td></tr></thead><tbody><tr><td>1,0</td><td></td></tr>"
    "</tbody></table></body></html>"
)
NAN = float("nan")


class Task:
    """What a result needs of one."""

    labels = None

    def draw(self, sample: Any, prediction: Any) -> np.ndarray:
        return row(sample, prediction)


def codes(page: str) -> torch.Tensor:
    return torch.tensor([*map(ord, page), -1, -1])


def result(key: str, page: str = PAGE, **more: Any) -> Result:
    boxes = torch.tensor([[1.0, 2, 8, 6], [1, 8, 6, 12], [NAN] * 4, [NAN] * 4])
    prediction: Any = {"table": codes(page), "cell_boxes": boxes, **more}
    image = torch.full((3, 16, 20), 255, dtype=torch.uint8)
    return Result(key, "", {"tables": prediction}, image, {"tables": Task()})  # type: ignore[dict-item]


def test_three_files_of_a_table(tmp_path: Path) -> None:
    entry = write_table(codes(PAGE), None, tmp_path, "deep/x")
    assert (entry["rows"], entry["columns"]) == (2, 2)
    cells = html.parse(str(tmp_path / entry["table"])).getroot().iter("td")
    assert [cell.text_content() for cell in cells] == ["a <b>", "1,0", ""]
    with (tmp_path / entry["table_csv"]).open(newline="") as stream:
        assert list(csv.reader(stream)) == [["a <b>", "a <b>"], ["1,0", ""]]
    assert (tmp_path / entry["table_markdown"]).read_text().startswith("| a &lt;b&gt; | a &lt;b&gt; |\n| --- |")


def test_an_empty_table_is_three_files_all_the_same(tmp_path: Path) -> None:
    entry = write_table(codes("<html><body><table></table></body></html>"), None, tmp_path, "x")
    assert (entry["rows"], entry["columns"]) == (0, 0)
    assert (tmp_path / entry["table_csv"]).read_text() == (tmp_path / entry["table_markdown"]).read_text() == ""


def test_boxes_of_empty_cells_are_null(tmp_path: Path) -> None:
    boxes = torch.tensor([[NAN] * 4, [1.0, 2, 3, 4], [NAN] * 4])
    assert write_cell_boxes(boxes, None, tmp_path, "x") == {"cell_boxes": [None, [1, 2, 3, 4]]}
    assert write_cell_boxes(boxes[:0], None, tmp_path, "x") == {"cell_boxes": []}


def test_boxes_follow_the_picture() -> None:
    boxes = torch.tensor([[1.0, 2, 3, 4], [NAN] * 4])
    moved = moved_boxes(boxes, (10, 20), (30, 10))
    assert moved[0].tolist() == [0.5, 6, 1.5, 12]
    assert bool(moved[1].isnan().all())
    assert KINDS["cell_boxes"].move is moved_boxes


def test_the_page_shows_every_table_beside_its_picture(tmp_path: Path) -> None:
    evil = PAGE.replace("1,0", "&lt;script&gt;alert(1)&lt;/script&gt;")
    assert save_all([result("a"), result("deep/b & c", evil)], tmp_path) == 2
    page = html.parse(str(tmp_path / "index.html")).getroot()
    assert [image.get("src") for image in page.iter("img")] == [
        "tables/picture/a.png",
        "tables/picture/deep/b%20%26%20c.png",
    ]
    assert [cell.text_content() for cell in page.iter("td")][4] == "<script>alert(1)</script>"
    assert list(page.iter("script")) == []
    assert Image.open(tmp_path / "tables/picture/deep/b & c.png").size[0] >= 20
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert lines[1]["tasks"]["tables"]["table"] == "tables/table/deep/b & c.html"
    assert lines[0]["tasks"]["tables"]["cell_boxes"] == [[1, 2, 8, 6], [1, 8, 6, 12]]


def test_without_tables_there_is_no_page(tmp_path: Path) -> None:
    one = result("a")
    prediction: Prediction = {"text_confidence": torch.tensor(0.5), "token_confidence": torch.tensor([0.5, NAN])}
    task: Any = Task()
    task.draw = lambda sample, prediction: np.zeros((4, 4, 3), np.uint8)
    save_all([Result("a", "", {"t": prediction}, one.image, {"t": task})], tmp_path)
    assert not (tmp_path / "index.html").exists()
    (line,) = (tmp_path / "predictions.jsonl").read_text().splitlines()
    assert json.loads(line)["tasks"]["t"] == {
        "overlay": "t/overlay/a.png",
        "text_confidence": 0.5,
        "token_confidence": [0.5],
    }


def test_a_page_that_breaks_leaves_none(tmp_path: Path) -> None:
    def results() -> Any:
        yield result("a")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        save_all(results(), tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_code_points_beyond_the_basic_plane() -> None:
    assert table_of(codes("<table><tr><td>\U0001d4d0é</td></tr></table>")).cells[0].tokens == ("\U0001d4d0", "é")


def test_boxes_are_drawn_where_they_are() -> None:
    image = np.full((16, 20, 3), 255, np.uint8)
    picture = with_boxes(image, [(5, 4, 15, 12)])
    scale = picture.shape[1] // 20
    inked = np.argwhere((picture != 255).any(-1))
    assert inked.min(0).tolist() == [4 * scale, 5 * scale]
    assert inked.max(0).tolist() == [12 * scale, 15 * scale]


def test_a_drawn_table_has_its_spans_and_its_size() -> None:
    wide = drawn(parse_table("<table><tr><td colspan='2'>a</td></tr><tr><td>b</td><td>c</td></tr></table>"))
    plain = drawn(parse_table("<table><tr><td>a</td><td></td></tr><tr><td>b</td><td>c</td></tr></table>"))
    assert wide.shape == plain.shape
    middle = wide.shape[1] // 2
    assert (wide[3:18, middle] == 255).all()  # no line through the cell that spans
    assert (plain[3:18, middle] != 255).all()
    many = "".join(f"<td>{i}</td>" for i in range(60))
    assert drawn(parse_table(f"<table><tr>{many}</tr></table>")).shape[1] < 30 * 60
    assert drawn(parse_table("")).size
