"""IAM: both layouts of transcriptions, the lists of the splits, and faults that lose one line each."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from text_trees import iam_tree, line_picture

from visionkit.datasets.check import check
from visionkit.datasets.iam import IAM
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import ConfigError, DataError


@pytest.mark.parametrize("xml", [False, True])
def test_both_layouts_give_the_same_lines(tmp_path: Path, xml: bool) -> None:
    iam_tree(tmp_path, xml)
    train, val, test = (IAM(tmp_path, split) for split in ("train", "val", "test"))
    assert [train.text(index) for index in range(len(train))] == ['A MOVE to " stop', "Labour life"]
    assert (val.text(0), test.text(0)) == ("he said it", "zebra Qq")
    sample = train[0]
    assert (sample["key"], sample["text"]) == ("a01-000u-00", 'A MOVE to " stop')
    written = np.array(Image.open(tmp_path / "lines/a01/a01-000u/a01-000u-00.png"))
    assert (sample["image"][0].numpy() == written).all()
    assert bool(sample["valid"].all())
    assert train.size(0) == (12, 40)


def test_the_charset_is_of_the_training_lines_in_every_split(tmp_path: Path) -> None:
    iam_tree(tmp_path)
    wanted = tuple(sorted(set('A MOVE to " stopLabour life')))
    assert {IAM(tmp_path, split).labels["text"].characters for split in ("train", "val", "test")} == {wanted}


def test_the_mark_of_segmentation_is_an_option(tmp_path: Path) -> None:
    iam_tree(tmp_path)
    assert len(IAM(tmp_path, "train")) == 2
    assert [IAM(tmp_path, "train", only_well_segmented=True).text(0)] == ['A MOVE to " stop']


def test_words_with_their_grammatical_tag(tmp_path: Path) -> None:
    iam_tree(tmp_path)
    rows = ["a01-000u-00-00 ok 154 408 768 27 51 AT A", "a01-000u-00-01 err 154 408 768 27 51 NN MOVE"]
    rows += ["b02-001-00-00 ok 1 1 1 1 1 PP he", "c03-002-00-00 ok 1 1 1 1 1 NN two parts"]
    (tmp_path / "ascii/words.txt").write_text("\n".join(rows))
    line_picture(tmp_path / "words/a01/a01-000u/a01-000u-00-00.png")
    words = IAM(tmp_path, "train", unit="words", only_well_segmented=True)
    assert [words.text(index) for index in range(len(words))] == ["A"]
    assert words[0]["key"] == "a01-000u-00-00"
    assert IAM(tmp_path, "test", unit="words", text=TextRules(characters="abc")).text(0) == "two parts"


def test_pictures_may_lie_in_one_folder(tmp_path: Path) -> None:
    iam_tree(tmp_path)
    picture = line_picture(tmp_path / "lines/a01-000u-00.png", seed=9)
    assert (IAM(tmp_path, "train")[0]["image"][0].numpy() == picture).all()


def test_faults_lose_one_line_each_and_are_found_at_once(tmp_path: Path) -> None:
    iam_tree(tmp_path)
    with (tmp_path / "ascii/lines.txt").open("a") as file:
        file.write("a01-000u-01 ok 1 1 1 1 1 1 again\na01-000u-02 ok 1 1\na01-000u-03 ok 1 1 1 1 1 1 gone\n")
    with (tmp_path / "splits/train.txt").open("a") as file:
        file.write("a01-000u-02\na01-000u-03\na99-999-00\n")
    found = {finding.code: finding for finding in check(IAM(tmp_path, "train"))}
    assert found.keys() == {"D122", "D123", "D10", "D125"}
    assert found["D123"].path.endswith("lines.txt:8")
    assert "lists 1 ids" in found["D125"].what
    assert IAM(tmp_path, "train")[0]["text"] == 'A MOVE to " stop'


def test_xml_that_is_damaged_is_a_fault_of_its_form(tmp_path: Path) -> None:
    iam_tree(tmp_path, xml=True)
    (tmp_path / "xml/a01-000u.xml").write_text("<form><line></form>")
    dataset = IAM(tmp_path, "train", text=TextRules(characters="abc"))
    assert [finding.code for finding in check(dataset)] == ["D125", "D126"]


def test_another_tree_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"D124.*splits"):
        IAM(tmp_path, "train")
    with pytest.raises(ConfigError, match=r"C185.*lines"):
        IAM(tmp_path, "train", unit="pages")  # type: ignore[arg-type]


def test_lists_that_overlap_are_told(tmp_path: Path) -> None:
    iam_tree(tmp_path)
    with (tmp_path / "splits/test.txt").open("a") as file:
        file.write("a01-000u\n")
    found = [
        (split, one.what.partition(": ")[2])
        for split in ("train", "val", "test")
        for one in IAM(tmp_path, split).problems()
        if one.code == "D148"
    ]
    assert found == [
        ("train", "2 in test (the first is a01-000u-00)"),
        ("test", "2 in train (the first is a01-000u-00)"),
    ]


@pytest.mark.realdata
def test_the_real_lines(real_data: Path) -> None:
    sets = {split: IAM(real_data / "iam", split) for split in ("train", "val", "test")}
    assert {split: len(lines) for split, lines in sets.items()} == {"train": 1601, "val": 255, "test": 350}
    assert len(sets["train"].labels["text"]) == 77
    assert sets["train"][0]["text"] == "A MOVE to stop Mr. Gaitskell from"
    assert all(not list(lines.problems()) for lines in sets.values())
