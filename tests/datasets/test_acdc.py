"""ACDC in both of its trees: splits by patient, frames with their truth, and what is missing."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from volume_trees import image, labels, write

from visionkit.datasets.acdc import Acdc, split_of
from visionkit.datasets.hdf5 import Hdf5Reader
from visionkit.errors import ConfigError, DataError


def patient(folder: Path, number: int) -> None:
    name = f"patient{number:03d}"
    write(folder / name / f"{name}_4d.nii.gz", image((6, 5, 4, 2)))
    for frame in ("01", "12"):
        write(folder / name / f"{name}_frame{frame}.nii.gz", image(seed=number))
        write(folder / name / f"{name}_frame{frame}_gt.nii.gz", labels(classes=4, seed=number))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    for number in (1, 15, 17, 35, 40):
        patient(tmp_path / "training", number)
    patient(tmp_path / "testing", 101)
    return tmp_path


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    home = tmp_path / "ACDC"
    (home / "data").mkdir(parents=True)
    for split, numbers in {"train": (1, 2), "val": (3,), "test": (4,)}.items():
        names = [f"patient{number:03d}_frame01" for number in numbers]
        (home / f"{split}.list").write_text("\n".join(names) + "\n\n")
        for number, name in zip(numbers, names, strict=True):
            with h5py.File(home / "data" / f"{name}.h5", "w") as file:
                file["image"], file["label"] = image((4, 5, 6), number), labels((4, 5, 6), 4, number)
    return tmp_path


def keys(root: Path, split: str) -> list[str]:
    layout = Acdc(root, split)
    return [layout.key(index) for index in range(len(layout))]


def test_patients_of_the_published_tree(published) -> None:
    frames = {split: {key.split("_")[0] for key in keys(published, split)} for split in ("train", "val", "test")}
    assert frames == {
        "train": {"patient001", "patient017", "patient040"},
        "val": {"patient015", "patient035"},
        "test": {"patient101"},
    }
    assert keys(published, "val") == [f"patient{n}_frame{f}" for n in ("015", "035") for f in ("01", "12")]


def test_the_usual_shares_of_a_hundred_patients() -> None:
    def count(has_testing: bool) -> list[int]:
        splits = [split_of(number, has_testing) for number in range(1, 101)]
        return [splits.count(split) for split in ("train", "val", "test")]

    assert count(False) == [70, 10, 20]
    assert count(True) == [90, 10, 0]


def test_a_sample_of_the_published_tree(published) -> None:
    sample = Acdc(published, "train")[0]
    assert sample["spacing_mm"].tolist() == [4, 2, 1.5]
    assert np.array_equal(sample["mask"].numpy(), labels(classes=4, seed=1).transpose(2, 1, 0))


def test_hdf5_files_are_in_their_own_order(hdf5) -> None:
    layout = Acdc(hdf5, "train", hdf5_spacing_mm=[8, 2, 2])
    sample = layout[1]
    assert len(layout) == 2
    assert np.array_equal(sample["image"][0].numpy(), image((4, 5, 6), 2))
    assert np.array_equal(sample["mask"].numpy(), labels((4, 5, 6), 4, 2))
    assert sample["spacing_mm"].tolist() == [8, 2, 2]
    assert (len(Acdc(hdf5, "val")), len(Acdc(hdf5 / "ACDC", "test"))) == (1, 1)


def test_what_is_missing_or_there_twice(published) -> None:
    folder = published / "training" / "patient001"
    (folder / "patient001_frame12_gt.nii.gz").unlink()
    write(folder / "patient001_frame01.nii", image())
    (published / "training" / "patient018").mkdir()
    layout = Acdc(published, "train")
    found = {layout.key(index): [e.code for e in layout.examine(index)[1]] for index in range(len(layout))}
    assert {key: codes for key, codes in found.items() if codes} == {
        "patient001_frame01": ["D23"],
        "patient001_frame12": ["D24"],
        "patient018_frame00": ["D22"],
    }


def test_faults_of_lists(hdf5) -> None:
    home = hdf5 / "ACDC"
    (home / "train.list").write_text("patient001_frame01\npatient001_frame01\npatient009_frame01\n")
    layout = Acdc(hdf5, "train")
    assert [[e.code for e in layout.examine(index)[1]] for index in range(3)] == [[], ["D23"], ["D10", "D10"]]
    (home / "val.list").unlink()
    with pytest.raises(DataError, match="D21"):
        Acdc(hdf5, "val")
    (home / "test.list").write_text("\n")
    with pytest.raises(DataError, match="D22"):
        Acdc(hdf5, "test")


def test_another_tree_and_wrong_words(tmp_path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match="D20"):
            Acdc(place, "train")
    with pytest.raises(ConfigError, match="C52"):
        Acdc(tmp_path, "all")


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"label": np.zeros((2, 3, 4))}, "D63"),
        ({"image": np.zeros((3, 4))}, "D54"),
        ({"image": np.zeros((0, 3, 4))}, "D54"),
        ({"image": np.full((2, 3, 4), np.nan)}, "D55"),
        ({"image": np.zeros((2, 3, 4), dtype="S3")}, "D57"),
    ],
)
def test_arrays_that_are_no_volume(arrays, code, tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
    with pytest.raises(DataError) as error:
        Hdf5Reader("image", (1, 1, 1)).image(tmp_path / "a.h5")
    assert error.value.code == code


def test_bytes_that_are_no_hdf5_and_labels_that_are_none(tmp_path) -> None:
    reader = Hdf5Reader("image", (1, 1, 1))
    (tmp_path / "a.h5").write_bytes(b"no HDF5" * 100)
    with pytest.raises(DataError, match="D63"):
        reader.image(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["image"] = np.full((2, 3, 4), 0.5)
    with pytest.raises(DataError, match="D58"):
        reader.labels(tmp_path / "b.h5")


@pytest.mark.realdata
def test_the_real_subset(real_data) -> None:
    place = real_data / "acdc"
    splits = {split: Acdc(place, split) for split in ("train", "val", "test")}
    assert {split: len(layout) for split, layout in splits.items()} == {"train": 12, "val": 2, "test": 4}
    patients = [{layout.key(i).split("_")[0] for i in range(len(layout))} for layout in splits.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 9
    for index in range(4):
        sample = splits["test"][index]
        assert sample["mask"].unique().tolist() == [0, 1, 2, 3]
        assert 0 <= float(sample["image"].min()) <= float(sample["image"].max()) <= 1
