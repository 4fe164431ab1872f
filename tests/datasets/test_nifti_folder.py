"""A folder of own volumes: pairs, splits, classes, and what a check of it finds."""

from pathlib import Path

import numpy as np
import pytest
from volume_trees import image, labels, write

from visionkit.datasets.check import Tally, check
from visionkit.datasets.nifti_folder import NiftiFolder
from visionkit.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, count in {"train": 3, "val": 1, "test": 1}.items():
        for number in range(count):
            name = f"{split}_{number}"
            write(tmp_path / "images" / split / "clinic" / f"{name}.nii.gz", image((12, 10, 9), number))
            write(tmp_path / "masks" / split / "clinic" / f"{name}.nii", labels((12, 10, 9), seed=number))
    (tmp_path / "classes.yaml").write_text("[background, organ, tumour]")
    return tmp_path


def test_pairs_of_equal_names_below_split_folders(root) -> None:
    layout = NiftiFolder(root, "train")
    assert [layout.key(index) for index in range(3)] == [f"clinic__train_{number}" for number in range(3)]
    assert layout.labels["mask"].names == ("background", "organ", "tumour")
    assert np.array_equal(layout[2]["mask"].numpy(), labels((12, 10, 9), seed=2).transpose(2, 1, 0))


def test_a_label_that_means_unknown(root) -> None:
    mask = labels((12, 10, 9))
    mask[3:5] = 255
    write(root / "masks" / "train" / "clinic" / "train_0.nii", mask)
    with pytest.raises(DataError, match="D59"):
        NiftiFolder(root, "train")[0]
    known = NiftiFolder(root, "train", ignore_index=255)[0]["mask"].numpy()
    assert np.array_equal(known == -1, (mask == 255).transpose(2, 1, 0))


def test_a_check_finds_each_fault_and_nothing_else(root) -> None:
    assert list(check(NiftiFolder(root, "train"))) == []
    images, masks = root / "images" / "train" / "clinic", root / "masks" / "train" / "clinic"
    (masks / "train_0.nii").write_bytes((masks / "train_0.nii").read_bytes()[:500])
    (images / "train_1.nii.gz").write_bytes(b"")
    (masks / "train_2.nii").unlink()
    write(masks / "train_9.nii", labels())
    tally = Tally()
    found = {(Path(finding.path).name, finding.code) for finding in check(NiftiFolder(root, "train"), tally=tally)}
    assert {
        ("train_0.nii", "D51"),
        ("train_1.nii.gz", "D12"),
        ("train_2.nii.gz", "D24"),
        ("train_9.nii", "D33"),
    } <= found
    assert {code for _, code in found} <= {"D51", "D12", "D24", "D33", "D36"}
    assert (tally.samples, tally.lost) == (0, 3)


def test_wrong_words(root, tmp_path) -> None:
    with pytest.raises(ConfigError, match="C52"):
        NiftiFolder(root, "training")
    with pytest.raises(ConfigError, match="C51"):
        NiftiFolder(root, "train", interpolation="nearest")
    with pytest.raises(ConfigError, match="C59"):
        NiftiFolder(root, "train", spacing_mm=[1, 1])
    (root / "classes.yaml").unlink()
    with pytest.raises(DataError, match="D29"):
        NiftiFolder(root, "train")
