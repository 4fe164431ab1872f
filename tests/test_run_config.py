"""What a run was made with reads back as it was, and takes the changes that make sense."""

from pathlib import Path

import pytest

from visionkit.config import compose
from visionkit.errors import ConfigError
from visionkit.run_config import change_config, load_config, save_config, set_key


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(*overrides: str) -> Path:
    """The folder of a run of this command."""
    folder = Path("runs/shapes")
    folder.mkdir(parents=True)
    save_config(compose("train", list(overrides)), folder)
    return folder


def test_saved_configuration_reads_back_and_takes_changes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    folder = saved("dataset=camvid", "dataset.root=data")
    assert load_config(folder).dataset.root == str(tmp_path / "data")
    changed = load_config(folder)
    for change in ("dataset.eval_batch_size=4", "dataset.size=[8,9]"):
        set_key(changed, change)
    assert (changed.dataset.eval_batch_size, changed.dataset.size) == (4, [8, 9])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("dataset.rot=x", r"did you mean dataset\.root"),
        ("dataset", "key=value"),
        ("sed=1", "did you mean seed"),
        ("dataset.size=[1", "quote it"),
        ("trainer=cpu", "would drop a whole part"),
        ("seed.x=1", "no such key"),
    ],
)
def test_changes_that_make_no_sense(change: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        set_key(compose("train", []), change)


def test_a_damaged_configuration_is_named() -> None:
    folder = saved()
    (folder / "config.yaml").write_text("seed: [0")
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load_config(folder)


def test_paths_of_the_data_are_saved_absolute(tmp_path: Path) -> None:
    words = ["dataset=folder", "dataset.root=mine", "dataset.layout.classes=lists/all.yaml"]
    save_config(compose("train", words), tmp_path)
    dataset = load_config(tmp_path).dataset
    assert dataset.root == str(Path.cwd() / "mine")
    assert dataset.layout.classes == str(Path.cwd() / "lists/all.yaml")


def test_paths_of_charsets_and_subwords_are_saved_absolute(tmp_path: Path) -> None:
    words = ["dataset=line_folder", "dataset.layout.text.charset=lists/all.txt", "tokenizer=subwords"]
    save_config(compose("train", [*words, "dataset.layout.text.subwords.file=lists/merges.txt"]), tmp_path)
    text = load_config(tmp_path).dataset.layout.text
    assert text.charset == str(Path.cwd() / "lists/all.txt")
    assert text.subwords.file == str(Path.cwd() / "lists/merges.txt")


def test_a_folder_that_is_no_run_is_named_with_those_that_are() -> None:
    saved()
    with pytest.raises(ConfigError, match="did you mean runs/shapes"):
        load_config("runs/shape")


def test_options_of_groups_are_chosen_anew_in_the_order_of_the_command() -> None:
    cfg = load_config(saved("task=segmentation/unet", "dataset=synthetic_shapes"))
    size = "tasks.segmentation.inference.size=64"
    change_config(cfg, ["inference=sliding_window", size, "seed=5"])
    assert cfg.tasks.segmentation.inference._target_.endswith("SlidingWindow")
    assert (cfg.tasks.segmentation.inference.size, cfg.seed) == (64, 5)
    with pytest.raises(ConfigError, match="did you mean sliding_window"):
        change_config(cfg, ["inference=slidin_window"])
