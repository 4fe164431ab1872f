"""The layout of the Medical Segmentation Decathlon: splits, classes, and each fault of dataset.json."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from volume_trees import AFFINE, image, labels, write

from visionkit.datasets.msd import Decathlon
from visionkit.errors import ConfigError, DataError

TASK = "Task99_Test"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve training volumes, two of validation, as dataset.json names them."""
    names = [f"case_{number:03d}" for number in range(14)]
    for number, name in enumerate(names):
        write(tmp_path / TASK / "imagesTr" / f"{name}.nii.gz", image(seed=number))
        write(tmp_path / TASK / "labelsTr" / f"{name}.nii.gz", labels(seed=number))
    pairs = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names]
    about = {
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "training": pairs[:12],
        "validation": pairs[12:],
        "test": ["./imagesTs/case_900.nii.gz"],
    }
    (tmp_path / TASK / "dataset.json").write_text(json.dumps(about))
    return tmp_path


def change(root: Path, **entries) -> None:
    listing = root / TASK / "dataset.json"
    about = json.loads(listing.read_text())
    about |= entries
    listing.write_text(json.dumps({key: value for key, value in about.items() if value is not None}))


def keys(root: Path, split: str) -> list[str]:
    layout = Decathlon(root, split, TASK)
    return [layout.key(index) for index in range(len(layout))]


def test_a_sample_is_the_volume_with_axes_upwards_first(root) -> None:
    layout = Decathlon(root, "train", TASK)
    sample = layout[3]
    assert layout.labels["mask"].names == ("background", "Anterior", "Posterior")
    assert sample["key"] == "case_003"
    assert np.array_equal(sample["image"][0].numpy(), image(seed=3).transpose(2, 1, 0))
    assert np.array_equal(sample["mask"].numpy(), labels(seed=3).transpose(2, 1, 0))
    assert sample["spacing_mm"].tolist() == [4, 2, 1.5]
    assert sample["valid"].all()


@pytest.mark.parametrize("inside", [False, True])
def test_splits_of_the_file(root, inside) -> None:
    place = root / TASK if inside else root
    assert len(keys(place, "train")) == 12
    assert keys(place, "val") == keys(place, "test") == ["case_012", "case_013"]


def test_without_validation_a_share_of_training_is_val_whatever_else_is_there(root) -> None:
    change(root, validation=None)
    train, val = keys(root, "train"), keys(root, "val")
    assert sorted(train + val) == [f"case_{number:03d}" for number in range(12)]
    assert train
    assert val
    entries = json.loads((root / TASK / "dataset.json").read_text())["training"]
    change(root, training=entries[::-1][:-2])
    assert set(keys(root, "val")) <= set(val)


def test_labelled_test_volumes_are_the_test_split(root) -> None:
    entries = json.loads((root / TASK / "dataset.json").read_text())["training"]
    change(root, training=entries[2:], test=entries[:2])
    assert keys(root, "test") == ["case_000", "case_001"]


def test_volumes_come_at_the_wanted_spacing(root) -> None:
    sample = Decathlon(root, "train", TASK, spacing_mm=[2.0, 2.0, 3.0])[0]
    assert sample["image"].shape == (1, 8, 5, 3)
    assert sample["mask"].shape == sample["valid"].shape == (8, 5, 3)
    assert sample["spacing_mm"].tolist() == [2, 2, 3]
    assert set(sample["mask"].unique().tolist()) <= {0, 1, 2}


@pytest.mark.parametrize(
    "entries",
    [
        {"labels": ["background", "organ"]},
        {"labels": {"0": "background", "2": "organ"}},
        {"labels": {}},
        {"training": "case_000"},
    ],
)
def test_what_the_file_cannot_say(root, entries) -> None:
    change(root, **entries)
    with pytest.raises(DataError, match="D64"):
        Decathlon(root, "train", TASK)


def test_a_damaged_file_and_another_tree(root) -> None:
    (root / TASK / "dataset.json").write_text("{")
    with pytest.raises(DataError, match="D64"):
        Decathlon(root, "train", TASK)
    for place in (root / TASK / "imagesTr", root / "nowhere"):
        with pytest.raises(DataError, match="D20"):
            Decathlon(place, "train", TASK)


def test_no_volumes_and_no_such_split(root) -> None:
    change(root, validation=None, training=[])
    with pytest.raises(DataError, match="D22"):
        Decathlon(root, "train", TASK)
    with pytest.raises(ConfigError, match="C52"):
        Decathlon(root, "training", TASK)


def test_entries_that_are_none_are_faults_of_their_own(root) -> None:
    entries = json.loads((root / TASK / "dataset.json").read_text())["training"]
    change(root, training=[entries[0], entries[0], {"image": 3}, {**entries[1], "label": "./labelsTr/none.nii.gz"}])
    layout = Decathlon(root, "train", TASK)
    assert layout[0]["key"] == "case_000"
    codes = []
    for index in (1, 2, 3):
        with pytest.raises(DataError) as error:
            layout[index]
        codes.append(error.value.code)
    assert codes == ["D23", "D64", "D10"]


def test_faults_of_pairs(root) -> None:
    folder = root / TASK / "labelsTr"
    moved = AFFINE.copy()
    moved[0, 3] = 3.0
    write(folder / "case_000.nii.gz", labels((6, 5, 3)))
    write(folder / "case_001.nii.gz", labels(), moved)
    write(folder / "case_002.nii.gz", labels(classes=5))
    write(root / TASK / "imagesTr" / "case_003.nii.gz", image((6, 5, 4, 2)))
    layout = Decathlon(root, "train", TASK)
    codes = [[error.code for error in layout.examine(index)[1]] for index in range(5)]
    assert codes == [["D60"], ["D61"], ["D59"], ["D62"], []]
    assert "3 mm" in str(layout.examine(1)[1][0])


def test_a_rounded_affine_is_the_same_affine(root) -> None:
    near = AFFINE.copy()
    near[:3, 3] += 0.01
    write(root / TASK / "labelsTr" / "case_000.nii.gz", labels(), near)
    assert Decathlon(root, "train", TASK)[0]["key"] == "case_000"


@pytest.mark.realdata
def test_the_hippocampus(real_data) -> None:
    place = real_data / "msd_hippocampus"
    splits = {split: Decathlon(place, split, "Task04_Hippocampus") for split in ("train", "val", "test")}
    assert {split: len(layout) for split, layout in splits.items()} == {"train": 80, "val": 20, "test": 20}
    assert splits["val"].labels["mask"].names == ("background", "Anterior", "Posterior")
    for index in range(20):
        sample = splits["val"][index]
        assert sample["mask"].unique().tolist() == [0, 1, 2]
        assert torch.allclose(sample["spacing_mm"], torch.ones(3, dtype=torch.float64))
        # The anterior part lies before the posterior one along the axis to the front.
        front = [float((sample["mask"] == label).nonzero()[:, 1].double().mean()) for label in (1, 2)]
        assert front[0] > front[1]
