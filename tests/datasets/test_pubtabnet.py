"""PubTabNet as it lies on the disk, in both versions, and every fault of an annotation."""

import json

import numpy as np
import pytest
import torch
from table_trees import ROW, annotation, cells, picture, pubtabnet, write_lines

from visionkit.datasets.check import check_splits
from visionkit.datasets.collate import collate
from visionkit.datasets.pubtabnet import PubTabNet
from visionkit.datasets.table_limits import TableLimits
from visionkit.datasets.transforms import Augment, Resize
from visionkit.errors import ConfigError, DataError
from visionkit.labels import Cell, Table
from visionkit.text.table_grid import NotRectangular
from visionkit.text.table_tokens import HtmlCode, MergedCode, OtslCode


def test_samples_and_labels(tmp_path) -> None:
    train = PubTabNet(pubtabnet(tmp_path), "train")
    assert [train.key(index) for index in range(len(train))] == ["a", "b"]
    sample = train[1]
    assert sample["table"] == Table(
        ("<tbody>", *ROW * 2, "</tbody>"),
        (
            Cell(("<", "b"), (0.0, 2.0, 8.0, 9.0)),
            Cell(),
            Cell(("c",), (20.0, 2.0, 28.0, 9.0)),
            Cell(("é",), (30.0, 2.0, 38.0, 9.0)),
        ),
    )
    assert sample["image"].shape == (3, 12, 40)
    assert train.labels["table"].structure == ("<tbody>", "</tbody>", "<tr>", "</tr>", "<td>", "</td>")
    assert train.labels["table"].content == ("1", "<", "a", "b", "c", "é")
    assert PubTabNet(tmp_path, "val").labels == train.labels
    assert PubTabNet(tmp_path, "test").key(0) == "c"
    assert collate([train[0], train[1]])["table"] == [train[0]["table"], train[1]["table"]]
    assert PubTabNet(tmp_path, "val", channels=1)[0]["image"].shape == (1, 12, 40)


def test_the_folder_above_version_1_and_given_tokens(tmp_path) -> None:
    home = pubtabnet(tmp_path / "pubtabnet")
    old = annotation("a.png", "train", cells("ab", "1", boxes=False))
    old["html"]["cell"] = old["html"].pop("cells")
    write_lines(home / "PubTabNet_1.0.0.jsonl", [old])
    with pytest.raises(DataError, match=r"D20.*PubTabNet_1.0.0.jsonl, PubTabNet_2.0.0.jsonl"):
        PubTabNet(tmp_path, "train")
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps({"structure": ["<td>"], "content": ["x", "y"]}))
    train = PubTabNet(tmp_path, "train", annotation="PubTabNet_1.0.0.jsonl", tokens=str(tokens))
    assert train[0]["table"].cells == (Cell(("a", "b")), Cell(("1",)))
    assert train.labels["table"].content == ("x", "y")
    tokens.write_text("{}")
    with pytest.raises(ConfigError, match="C206"):
        PubTabNet(tmp_path, "train", annotation="PubTabNet_1.0.0.jsonl", tokens=str(tokens))


def test_html_truths_where_the_lines_lack_a_split(tmp_path) -> None:
    home = pubtabnet(tmp_path)
    write_lines(home / "PubTabNet_2.0.0.jsonl", [annotation("a.png", "train", cells("ab", "1"))])
    (home / "val_gt.json").write_text(json.dumps({"c.png": {"html": "<table><tr><td>a<1</td></tr></table>"}}))
    val = PubTabNet(home, "val")
    assert val[0]["table"] == Table(("<tr>", "<td>", "</td>", "</tr>"), (Cell(("a", "<", "1")),))
    (home / "val_gt.json").write_text("[]")
    with pytest.raises(DataError, match="D135"):
        PubTabNet(home, "val")


def test_every_planted_fault_is_found(tmp_path) -> None:
    good = cells("a", "b")
    odd = annotation("odd.png", "train", [*good, *cells("c")])
    odd["html"]["structure"]["tokens"] = [*ROW, "<tr>", "<td>", "</td>", "</tr>"]
    wrong = annotation("order.png", "train", cells("a", "b"))
    wrong["html"]["structure"]["tokens"] = ["<tbody>", *ROW]
    lacking = annotation("lacking.png", "train", good)
    del lacking["html"]["structure"]
    lines = [
        annotation("good.png", "train", good),
        '{"filename": "json.png", "split": "train", ',
        annotation("count.png", "train", good[:1]),
        wrong,
        annotation("box.png", "train", [{"tokens": ["a"], "bbox": [9, 2, 3, 4]}, good[1]]),
        annotation("nan.png", "train", [{"tokens": ["a"], "bbox": [0, 0, None, 4]}, good[1]]),
        annotation("gone.png", "train", good),
        lacking,
        {"html": {}},
        annotation("tokens.png", "train", [{"tokens": "ab"}, good[1]]),
        odd,
        annotation("outside.png", "train", [{"tokens": ["a"], "bbox": [0, 0, 50, 4]}, good[1]]),
        annotation("empty.png", "train", [], rows=0),
        annotation("other.png", "dev", good),
        annotation("val.png", "val", good),
    ]
    file = tmp_path / "x.jsonl"
    write_lines(file, lines)
    for name in ["good", "json", "count", "order", "box", "nan", "lacking", "tokens", "odd", "outside", "empty"]:
        picture(tmp_path / "train" / f"{name}.png")
    picture(tmp_path / "val" / "val.png")
    findings = list(check_splits(PubTabNet, ["train", "val"], root=tmp_path))
    errors = [(finding.path, finding.code) for finding in findings if finding.severity == "error"]
    names = "good json count order box nan gone lacking none tokens".split()  # noqa: SIM905
    at = {name: f"{file}:{number}" for number, name in enumerate(names, 1)}
    assert errors == [
        (at["json"], "D135"),
        (at["count"], "D136"),
        (at["order"], "D137"),
        (at["box"], "D138"),
        (at["nan"], "D138"),
        (str(tmp_path / "train" / "gone.png"), "D10"),
        (at["lacking"], "D135"),
        (at["tokens"], "D135"),
        (at["none"], "D139"),
    ]
    warnings = [(finding.path.split("/")[-1], finding.code) for finding in findings if finding.severity == "warning"]
    assert warnings == [("x.jsonl", "D37"), ("odd.png", "D142"), ("outside.png", "D141"), ("empty.png", "D140")]
    assert all("\n" not in str(finding) for finding in findings)


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({}, ["a", "b", "gone"]),
        ({"structure": 8}, ["a", "gone"]),
        ({"structure": 7}, []),
        ({"cell": 1}, ["gone"]),
        ({"cell": 2}, ["a", "b", "gone"]),
        ({"side_px": 40}, ["a", "b", "gone"]),
        ({"side_px": 39}, ["gone"]),
    ],
)
def test_limits_of_what_is_trained_on(tmp_path, caplog, limits, kept) -> None:
    root = pubtabnet(tmp_path)
    with (root / "PubTabNet_2.0.0.jsonl").open("a") as file:
        file.write(json.dumps(annotation("gone.png", "train", cells("a", "1"))) + "\n")
    train = PubTabNet(root, "train", limits=TableLimits(**limits))
    assert [train.key(index) for index in range(len(train))] == kept
    assert (f"{3 - len(kept)} of 3 tables are not trained on" in caplog.text) == (len(kept) < 3)
    val = PubTabNet(root, "val", limits=TableLimits(**limits))
    assert len(val) == 1
    assert val.labels == train.labels


def test_trees_that_are_none(tmp_path) -> None:
    with pytest.raises(DataError, match="D20"):
        PubTabNet(tmp_path / "gone", "train")
    with pytest.raises(ConfigError, match="C52"):
        PubTabNet(pubtabnet(tmp_path), "dev")
    write_lines(tmp_path / "PubTabNet_2.0.0.jsonl", [annotation("c.png", "val", cells("z", "9"))])
    with pytest.raises(DataError, match=r"D22.*splits: val"):
        PubTabNet(tmp_path, "train")


def test_a_changed_file_is_read_again(tmp_path) -> None:
    root = pubtabnet(tmp_path)
    assert len(PubTabNet(root, "train")) == 2
    write_lines(root / "PubTabNet_2.0.0.jsonl", [annotation("a.png", "train", cells("new", "1"))])
    assert len(PubTabNet(root, "train")) == 1
    assert PubTabNet(root, "train").labels["table"].content == ("1", "e", "n", "w")


def test_boxes_follow_the_picture(tmp_path) -> None:
    sample = PubTabNet(pubtabnet(tmp_path), "train")[1]
    rng = np.random.default_rng(0)
    resized = Resize((24, 20))(sample, rng)
    assert resized["image"].shape == (3, 24, 20)
    assert [cell.box for cell in resized["table"].cells] == [(0, 4, 4, 18), None, (10, 4, 14, 18), (15, 4, 19, 18)]
    assert sample["table"].cells[0].box == (0, 2, 8, 9)
    color = Augment({"color": _transform("RandomBrightnessContrast"), "nothing": _transform("NoOp")})
    assert color(sample, rng)["table"] == sample["table"]
    with pytest.raises(ConfigError, match=r"C207.*dataset.augment.flip"):
        Augment({"flip": _transform("HorizontalFlip")})(sample, rng)
    moving = Augment({"flip": _transform("HorizontalFlip")})
    assert torch.equal(moving({"key": "a", "image": sample["image"]}, rng)["image"], sample["image"].flip(2))


def _transform(name):
    import albumentations

    return getattr(albumentations, name)(p=1.0)


@pytest.mark.realdata
def test_real_tables_are_sound_and_survive_every_code(real_data) -> None:
    counts, refused = {}, []
    for split in ("train", "val"):
        dataset = PubTabNet(real_data / "pubtabnet", split)
        counts[split] = len(dataset)
        for index in range(len(dataset)):
            sample = dataset[index]
            for code in (HtmlCode(), MergedCode(), OtslCode()):
                try:
                    assert code.decode(code.encode(sample["table"].structure)) == sample["table"].structure
                except NotRectangular:
                    refused.append(sample["key"])
    assert counts == {"train": 16, "val": 16}
    assert len(refused) == 1
    findings = list(check_splits(PubTabNet, root=real_data / "pubtabnet"))
    assert {(finding.severity, finding.code, finding.key) for finding in findings} == {("warning", "D142", refused[0])}
