"""Words with a list for each split: the real layouts, validation words, and rows that are none."""

import string
from pathlib import Path

import pytest
from text_trees import line_picture

from visionkit.config import build, compose
from visionkit.datasets.check import check
from visionkit.datasets.scene_text import SceneText
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import ConfigError, DataError

PRINTABLE = TextRules(characters=string.printable)


def tree(root: Path, separator: str = "\t", count: int = 30) -> None:
    for split in ("train", "test"):
        names = [f"{split}/{number}.png" for number in range(count)]
        for name in names:
            line_picture(root / "words" / name)
        rows = [f"{name}{separator}word {number}" for number, name in enumerate(names)]
        (root / f"words/{split}_gt.txt").write_text("\n".join(rows) + "\n")


LISTS = {"train": "words/train_gt.txt", "test": "words/test_gt.txt"}


@pytest.mark.parametrize("separator", ["\t", " "])
def test_paths_and_words(tmp_path: Path, separator: str) -> None:
    tree(tmp_path, separator)
    words = SceneText(tmp_path, "test", lists=LISTS)
    assert (len(words), words.key(7), words[7]["text"]) == (30, "test__7", "word 7")
    assert words[7]["image"].shape == (3, 12, 40)


def test_a_share_of_the_training_words_validates_where_no_list_does(tmp_path: Path) -> None:
    tree(tmp_path)
    train, val = (SceneText(tmp_path, split, lists=LISTS, val_share=0.3) for split in ("train", "val"))
    keys = [{words.key(index) for index in range(len(words))} for words in (train, val)]
    assert len(keys[0]) + len(keys[1]) == len(keys[0] | keys[1]) == 30
    assert 2 < len(val) < 20
    listed = SceneText(tmp_path, "val", lists={**LISTS, "val": "words/test_gt.txt"}, val_share=0.3)
    assert len(listed) == 30


def test_words_of_a_scene_stay_in_one_split(tmp_path: Path) -> None:
    names = [f"a_b/scene_{scene}_{word}" for scene in range(20) for word in range(3)]
    names += [f"a_b/alone{number}" for number in range(20)]
    (tmp_path / "train_gt.txt").write_text("".join(f"{name}.png\tword\n" for name in names))
    lists = {"train": "train_gt.txt"}

    def scenes(groups: str | None) -> list[set[str]]:
        sets = [SceneText(tmp_path, split, 3, PRINTABLE, lists, None, 0.5, groups) for split in ("train", "val")]
        assert sum(map(len, sets)) == len(names)
        return [{words.key(index).rpartition("_")[0] for index in range(len(words))} for words in sets]

    train, val = scenes("_")
    assert train & val == {"a_b_"}  # names without a number are scenes of their own
    assert min(len(train), len(val)) > 2
    assert set.intersection(*scenes(None)) - {"a_b_"}
    assert scenes("") == scenes(None)


def test_a_word_in_two_lists_is_told(tmp_path: Path) -> None:
    tree(tmp_path)
    with (tmp_path / "words/train_gt.txt").open("a") as file:
        file.write("test/3.png\tword 3\n")
    found = {split: list(SceneText(tmp_path, split, lists=LISTS).problems()) for split in ("train", "val", "test")}
    codes = {split: [one.code for one in some] for split, some in found.items()}
    assert codes == {"train": ["D148"], "val": [], "test": ["D148"]}
    assert "1 in train (the first is test__3)" in found["test"][0].what


@pytest.mark.parametrize("row", ["\tabc", " abc", ".\tabc", "/ abc"])
def test_a_row_without_a_path_is_its_own_fault(tmp_path: Path, row: str) -> None:
    tree(tmp_path, count=2)
    with (tmp_path / "words/test_gt.txt").open("a") as file:
        file.write(f"{row}\n")
    found = [(one.code, one.path) for one in check(SceneText(tmp_path, "test", 3, PRINTABLE, LISTS))]
    assert found == [("D123", f"{tmp_path}/words/test_gt.txt:3")]


def test_a_set_without_training_words(tmp_path: Path) -> None:
    tree(tmp_path)
    only = {"test": "words/test_gt.txt"}
    assert [len(SceneText(tmp_path, split, 3, PRINTABLE, only)) for split in ("train", "val", "test")] == [0, 0, 30]
    with pytest.raises(ConfigError, match="C186"):
        SceneText(tmp_path, "test", lists=only)


def test_rows_and_lists_that_are_none(tmp_path: Path) -> None:
    tree(tmp_path)
    with (tmp_path / "words/test_gt.txt").open("a") as file:
        file.write("test/a.png\n\ntest/3.png\tagain\ntest/gone.png\tword\n")
    found = [finding.code for finding in check(SceneText(tmp_path, "test", 3, PRINTABLE, LISTS))]
    assert sorted(found) == ["D10", "D122", "D123"]
    with pytest.raises(DataError, match="D124"):
        SceneText(tmp_path, "test")
    with pytest.raises(ConfigError, match="C53"):
        SceneText(tmp_path, "test", lists=LISTS, val_share=1.0)
    (tmp_path / "none.txt").write_text("")
    with pytest.raises(DataError, match="D131"):
        SceneText(tmp_path, "train", lists={"train": "none.txt"})


@pytest.mark.realdata
def test_the_real_words(real_data: Path) -> None:
    lists = {"train": "IIIT5K/train_gt.txt", "test": "IIIT5K/test_gt.txt"}
    sets = [SceneText(real_data / "iiit5k", split, lists=lists, val_share=0.1) for split in ("train", "val", "test")]
    assert [len(words) for words in sets] == [354, 47, 451]
    assert not [finding for finding in check(sets[1]) if finding.severity == "error"]
    assert len(SceneText(real_data / "svt", "test", 3, PRINTABLE, {"test": "SVT/test_gt.txt"})) == 510


@pytest.mark.realdata
def test_no_scene_of_the_real_words_is_trained_on_and_validates(real_data: Path) -> None:
    source = build(compose("train", ["dataset=iiit5k", f"dataset.root={real_data / 'iiit5k'}"]).dataset)
    sets = [source.split(split) for split in ("train", "val")]  # the official lists part test words from these
    assert sum(map(len, sets)) == 401
    train, val = ({Path(words[index]["path"]).name.split("_")[0] for index in range(len(words))} for words in sets)
    assert min(len(train), len(val)) > 5
    assert not train & val
