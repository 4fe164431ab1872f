"""CamVid in its own layout, small and real."""

import numpy as np
import pytest
import torch
from dataset_trees import SPLITS, indices, picture

from visionkit.datasets.camvid import CLASSES, CamVid
from visionkit.errors import ConfigError, DataError


@pytest.mark.parametrize("inside", ["", "CamVid"])
def test_samples_equal_the_files(camvid, inside):
    for split, count in SPLITS.items():
        dataset = CamVid(root=camvid / inside, split=split)
        assert len(dataset) == count
        for number in range(count):
            sample = dataset[number]
            assert sample["key"] == dataset.key(number) == f"{split}_{number:03d}"
            assert sample["path"] == str(camvid / "CamVid" / split / f"{split}_{number:03d}.png")
            assert (sample["image"].permute(1, 2, 0).numpy() == picture(number)).all()
            expected = indices(number, 12).astype(int)
            assert (sample["mask"].numpy() == np.where(expected == 11, -1, expected)).all()
            assert sample["mask"].dtype == torch.int64
            assert sample["valid"].shape == (12, 16)
            assert sample["valid"].all()


def test_renamed_home(camvid):
    (camvid / "CamVid").rename(camvid / "roads")
    assert CamVid(root=camvid / "roads", split="val")[0]["image"].shape == (3, 12, 16)


def test_labels():
    assert len(CLASSES) == len(set(CLASSES.colors)) == 11
    assert CLASSES.names[3] == "Road"
    assert CLASSES.colors[3] == (128, 64, 128)


def test_grey(camvid):
    assert CamVid(root=camvid, split="val", channels=1)[0]["image"].shape == (1, 12, 16)


def code(call) -> DataError:
    with pytest.raises(DataError) as caught:
        call()
    return caught.value


def test_wrong_roots(camvid, tmp_path):
    error = code(lambda: CamVid(root=tmp_path / "none", split="train"))
    assert error.code == "D20"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "VOC").mkdir()
    error = code(lambda: CamVid(root=tmp_path / "other", split="train"))
    assert error.code == "D20"
    assert "trainannot" in error.what
    assert "found VOC" in error.what
    with pytest.raises(ConfigError, match="did you mean train"):
        CamVid(root=camvid, split="trian")


def test_lists(camvid):
    listing = camvid / "CamVid" / "val.txt"
    lines = listing.read_text().splitlines()
    listing.write_text("\n".join([lines[0], "", "only_one_column.png", lines[1], lines[0]]) + "\r\n")
    dataset = CamVid(root=camvid, split="val")
    keys = [dataset.key(index) for index in range(len(dataset))]
    assert len(set(keys)) == len(keys) == 4
    assert dataset[0]["key"] == "val_000"
    assert dataset[2]["key"] == "val_001"
    first, second = code(lambda: dataset[1]), code(lambda: dataset[3])
    assert (first.code, first.place) == ("D21", f"{listing}:3")
    assert (second.code, second.place) == ("D23", f"{listing}:5")
    assert "line 1" in second.what
    listing.write_text("\n")
    assert code(lambda: CamVid(root=camvid, split="val")).code == "D22"
    listing.write_bytes(b"\xff\xfe\x00")
    assert code(lambda: CamVid(root=camvid, split="val")).code == "D21"
    listing.unlink()
    assert code(lambda: CamVid(root=camvid, split="val")).code == "D21"


def test_missing_mask_names_the_mask(camvid):
    mask = camvid / "CamVid" / "valannot" / "val_001.png"
    mask.unlink()
    error = code(lambda: CamVid(root=camvid, split="val")[1])
    assert (error.code, error.place) == ("D10", str(mask))


@pytest.mark.realdata
def test_real_camvid(real_data):
    for split, count in (("train", 70), ("val", 18), ("test", 36)):
        dataset = CamVid(root=real_data / "camvid", split=split)
        assert len(dataset) == count
        seen = set()
        for sample in (dataset[index] for index in range(0, count, 3)):
            assert sample["image"].shape == (3, 360, 480)
            assert sample["mask"].shape == (360, 480)
            seen |= set(sample["mask"].unique().tolist())
        assert seen == set(range(-1, 11))
