import base64
import io
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from visionkit.errors import StorageError
from visionkit.labels import Classes
from visionkit.reports.curves import main_curves, other_curves
from visionkit.reports.examples import Example
from visionkit.reports.page import write_report

EVIL = "<script>alert('x')</script>\"&"
VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(HTMLParser):
    """Fails where tags do not match; keeps what a browser would show and fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.addresses, self.text, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def write(folder, **changes):
    picture = np.full((20, 30, 3), 200, np.uint8)
    arguments = {
        "title": "unet_camvid",
        "config": {"run": "runs/a", "encoder": {"_target_": "visionkit.encoders.timm.Timm", "name": "resnet18"}},
        "results": {
            "segmentation": {
                "miou": torch.tensor(0.5),
                "iou": torch.tensor([0.25, math.nan, 0.75]),
                "confusion": torch.tensor([[3, 1, 0], [0, 0, 0], [0, 1, 9]]),
            },
            "counting": {"mae": torch.tensor(12.5)},
        },
        "labels": {"segmentation": Classes(("road", "sky", "car")), "counting": None},
        "history": [
            {"step": 0, "epoch": 0, "time_s": 0.1, "train/loss": 2.0},
            {"step": 9, "epoch": 0, "time_s": 1.0, "train/loss": 1.0, "val/segmentation/miou": 0.4},
        ],
        "pictures": {"segmentation": [Example("worst", 0.125, "camvid", 3, "frame_3", picture)]},
        "split": "test",
    } | changes
    path = write_report(folder / "report", **arguments)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_is_well_formed_and_complete(tmp_path):
    text, page = write(tmp_path, facts={"Parameters": "11.2 M"})
    shown = " ".join(page.text)
    for expected in ("unet_camvid", "Timm: resnet18", "11.2 M", "miou", "0.5", "12.5", "road", "absent", "frame_3"):
        assert expected in shown
    for heading in ("Figures", "segmentation", "Training", "Configuration"):
        assert f"<h2>{heading}</h2>" in text
    assert "<h2>counting</h2>" not in text
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.html"]


def test_the_page_needs_nothing_from_outside(tmp_path):
    text, page = write(tmp_path)
    assert page.addresses
    assert all(re.match(r"#section-\d$|data:image/jpeg;base64,", address) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} == set(page.ids)
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert not {"script", "link", "iframe", "object"} & set(page.tags)


def test_text_from_outside_is_escaped_everywhere(tmp_path):
    picture = np.zeros((4, 4, 3), np.uint8)
    text, page = write(
        tmp_path,
        title=EVIL,
        config={EVIL: EVIL, "run": EVIL},
        results={
            EVIL: {
                EVIL: torch.tensor(1.0),
                f"{EVIL}1": torch.tensor([0.5, math.nan]),
                f"{EVIL}2": torch.tensor([[5.0, 5.0], [0.0, 0.0]]),
                f"{EVIL}3": torch.ones(41, 41),
            }
        },
        labels={EVIL: Classes((EVIL, EVIL + "b"))},
        history=[{"step": 0, f"val/{EVIL}/{EVIL}": 1.0, EVIL: 2.0, f"train/{EVIL}": 3.0}],
        pictures={EVIL: [Example(EVIL, 0.0, EVIL, 0, EVIL, picture)]},
        split=EVIL,
        facts={EVIL: EVIL},
    )
    assert "script" not in page.tags
    assert "<script" not in text
    assert "".join(page.text).count("<script>alert('x')</script>\"&") >= 15


def test_names_come_from_the_labels_and_else_are_numbers(tmp_path):
    results = {"a": {"iou": torch.tensor([0.1, 0.2])}, "b": {"by_bin": torch.tensor([0.1, 0.2])}}
    _, page = write(tmp_path, results=results, labels={"a": Classes(("x1", "x2")), "b": Classes(("y1", "y2", "y3"))})
    assert {"x1", "x2", "0", "1"} <= set(page.text)
    assert "y1" not in page.text


@pytest.mark.parametrize(("classes", "expected"), [(40, 1), (41, 0)])
def test_a_large_confusion_matrix_is_shown_by_its_worst_pairs(tmp_path, classes, expected):
    matrix = torch.eye(classes) * 9
    matrix[0, 1] = 1
    text, page = write(tmp_path, results={"a": {"confusion": matrix}})
    assert text.count('class="heat"') == expected
    assert ("0 → 1" in page.text) == (not expected)


def test_a_curve_of_precision_and_recall_is_drawn_as_one(tmp_path):
    curve = torch.tensor([[0.25, 0.9, 0.4], [0.5, 0.7, 0.8], [0.75, 0.2, 0.9]])
    page, _ = write(tmp_path, results={"edges": {"ods": torch.tensor(0.75), "crisp_precision_recall": curve}})
    assert "crisp precision recall" in page
    assert "at 0.5, recall 0.7, precision 0.8" in page
    assert "truth" not in page


def test_nothing_to_show_is_a_page_all_the_same(tmp_path):
    _, page = write(tmp_path, config={}, results={}, labels={}, history=[], pictures={})
    assert page.ids == []


@pytest.mark.parametrize("value", [torch.zeros(0), torch.zeros(0, 0), torch.zeros(2, 3), torch.zeros(2, 2, 2)])
def test_metrics_without_a_chart_are_left_out(tmp_path, value):
    _, page = write(tmp_path, results={"a": {"odd": value}}, pictures={})
    assert "odd" not in page.text


def test_undefined_figures_are_called_so(tmp_path):
    _, page = write(tmp_path, results={"a": {"m": torch.tensor(math.nan), "c": torch.full((2,), math.nan)}})
    assert "undefined" in page.text
    assert "No class occurs." in page.text


def test_pictures_are_inside_and_not_larger_than_needed(tmp_path):
    wide = np.full((100, 4000, 3), 120, np.uint8)
    pictures = {"segmentation": [Example("best", 1.0, "s", 0, "k", wide), Example("best", 1.0, "s", 1, "l")]}
    _, page = write(tmp_path, pictures=pictures)
    (address,) = [address for address in page.addresses if address.startswith("data:")]
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert image.size == (1000, 25)
    assert abs(int(np.asarray(image)[10, 500, 0]) - 120) < 4


def test_a_hydra_configuration_is_shown_resolved(tmp_path):
    _, page = write(tmp_path, config=OmegaConf.create({"seed": 7, "copy": "${seed}"}))
    assert any("copy: 7" in text for text in page.text)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "report").write_text("a file")
    with pytest.raises(StorageError, match=r"error\[S12\] .*index.html: the report cannot be written"):
        write(tmp_path)


def test_curves_are_grouped_by_what_they_measure():
    history = [
        {"step": 1, "epoch": 0, "time_s": 1.0, "train/loss_step": 3.0, "train/seg/dice": 1.0, "train/step_time_s": 0.1},
        {"step": 1, "epoch": None, "time_s": 1.0, "lr-AdamW/pg1": 0.1, "lr-AdamW/pg2": 0.1},
        {"step": 2, "train/loss_epoch": 2.0, "val/loss": 2.5, "val/seg/miou": 0.5, "val/seg/iou/sky": 0.5},
        {"step": 4, "val/seg/miou": 0.6, "test/seg/miou": 0.7, "test/loss": 1.0},
    ]
    assert main_curves(history) == {
        "loss": {"train": [(1, 3)], "train, mean of the epoch": [(2, 2)], "val": [(2, 2.5)]},
        "seg / dice": {"train": [(1, 1)]},
        "seg / miou": {"val": [(2, 0.5), (4, 0.6)]},
    }
    assert other_curves(history) == {"step time s": {"train": [(1, 0.1)]}, "lr-AdamW": {"lr-AdamW": [(1, 0.1)]}}
