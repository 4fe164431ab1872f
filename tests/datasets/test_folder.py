"""The user's own data: splits, names, classes and the faults of a listing."""

import shutil

import numpy as np
import pytest
from dataset_trees import SPLITS, indices, picture
from PIL import Image

from visionkit.datasets.folder import Folder
from visionkit.errors import ConfigError, DataError


def code(call) -> DataError:
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return caught.value


def keys(dataset) -> list[str]:
    return [dataset.key(index) for index in range(len(dataset))]


def faults(dataset) -> dict[str, str]:
    return {dataset.key(i): errors[0].code for i in range(len(dataset)) if (errors := dataset.examine(i)[1])}


@pytest.fixture
def flat(tmp_path):
    """200 pictures without split folders."""
    root = tmp_path / "flat"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
        Image.fromarray(indices(0, 2, 2, 2)).save(root / name / "n0.png")
        for number in range(1, 200):
            (root / name / f"n{number}.png").hardlink_to(root / name / "n0.png")
    return root


def test_split_folders(folder):
    for split, count in SPLITS.items():
        dataset = Folder(root=folder, split=split)
        assert keys(dataset) == [f"p{number}" for number in range(count)]
        assert dataset.labels["mask"].names == ("sky", "road", "car")
        assert dataset.problems() == []
        for number in range(count):
            sample = dataset[number]
            assert (sample["mask"].numpy() == indices(number, 3)).all()
            if number % 2 == 0:
                assert (sample["image"].permute(1, 2, 0).numpy() == picture(number)).all()
            assert sample["valid"].all()
            assert sample["path"].startswith(str(folder / "images" / split))


def test_hash_splits_are_a_partition_and_stay(flat):
    def splits():
        return {split: set(keys(Folder(root=flat, split=split, classes=["a", "b"]))) for split in SPLITS}

    before = splits()
    assert sum(map(len, before.values())) == 200
    assert set().union(*before.values()) == {f"n{number}" for number in range(200)}
    assert 140 <= len(before["train"]) <= 180
    for number in range(200, 230):
        Image.fromarray(picture(0, 2, 2)).save(flat / "images" / f"n{number}.jpg")
    after = splits()
    assert all(before[split] <= after[split] for split in SPLITS)


def test_fractions(flat):
    dataset = Folder(root=flat, split="val", classes=["a", "b"], fractions=[0, 1, 0])
    assert len(dataset) == 200
    error = code(lambda: Folder(root=flat, split="train", classes=["a", "b"], fractions=[0, 1, 0]))
    assert error.code == "D22"
    assert "200 images" in error.what
    with pytest.raises(ConfigError, match="C53"):
        Folder(root=flat, split="train", classes=["a", "b"], fractions=[1, 1, 0])


def test_folders_inside_and_names_of_folders(tmp_path):
    for name in ("raw/aachen", "truth/aachen"):
        (tmp_path / name).mkdir(parents=True)
    Image.fromarray(picture(1)).save(tmp_path / "raw/aachen/x.JPG")
    Image.fromarray(indices(1, 2)).save(tmp_path / "truth/aachen/x_ids.PNG")
    options = {"classes": ["a", "b"], "images": "raw", "masks": "truth", "mask_suffix": "_ids", "fractions": [1, 0, 0]}
    dataset = Folder(root=tmp_path, split="train", **options)
    assert keys(dataset) == ["aachen__x"]
    assert (dataset[0]["mask"].numpy() == indices(1, 2)).all()
    assert dataset.problems() == []


def test_linked_folders_are_followed_once(folder, tmp_path):
    (folder / "images" / "train" / "more").symlink_to(folder / "images" / "val")
    (folder / "masks" / "train" / "more").symlink_to(folder / "masks" / "val")
    (folder / "images" / "train" / "round").symlink_to(folder / "images")
    dataset = Folder(root=folder, split="train")
    assert len(dataset) == SPLITS["train"] + SPLITS["val"]
    assert "more__p0" in keys(dataset)
    assert faults(dataset) == {}


def test_color_masks(folder):
    colors = {"sky": [0, 0, 255], "road": [90, 90, 90], "car": [255, 0, 0]}
    entries = [{"name": name, "color": color} for name, color in colors.items()]
    table = np.array(list(colors.values()), np.uint8)
    for path in (folder / "masks" / "train").iterdir():
        Image.fromarray(table[np.asarray(Image.open(path))]).save(path)
    dataset = Folder(root=folder, split="train", classes=entries)
    assert (dataset[3]["mask"].numpy() == indices(3, 3)).all()
    ignoring = Folder(root=folder, split="train", classes=entries[:2], ignore_colors=["#ff0000"])
    expected = indices(3, 3).astype(int)
    assert (ignoring[3]["mask"].numpy() == np.where(expected == 2, -1, expected)).all()
    assert code(lambda: Folder(root=folder, split="train")[3]).code == "D28"


def test_ignored_value(folder):
    values = indices(0, 3)
    values[:4] = 255
    Image.fromarray(values).save(folder / "masks" / "val" / "p0.png")
    mask = Folder(root=folder, split="val")[0]["mask"]
    assert (mask[:4] == -1).all()
    assert (mask[4:] >= 0).all()
    assert code(lambda: Folder(root=folder, split="val", ignore_index=None)[0]).code == "D26"


def test_faults_of_single_pictures(folder):
    images, masks = folder / "images" / "train", folder / "masks" / "train"
    (masks / "p0.png").unlink()
    Image.fromarray(picture(9)).save(images / "p1.png")
    Image.fromarray(indices(2, 3, 5, 5)).save(masks / "p2.png")
    Image.fromarray(indices(3, 3)).save(masks / "p3.tif")
    dataset = Folder(root=folder, split="train")
    assert keys(dataset) == [f"p{number}" for number in range(6)]
    assert faults(dataset) == {"p0": "D24", "p1": "D23", "p2": "D25", "p3": "D23"}
    assert code(lambda: dataset[0]).place == str(images / "p0.png")
    assert "p1.jpg and p1.png" in code(lambda: dataset[1]).what
    assert "5 x 5" in code(lambda: dataset[2]).what
    assert dataset[4]["key"] == "p4"


def test_mask_of_a_turned_photograph(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(0)).save(folder / "images" / "val" / "p0.png", exif=exif)
    error = code(lambda: Folder(root=folder, split="val")[0])
    assert error.code == "D25"
    assert "EXIF" in error.fix


def test_a_folder_that_cannot_be_read_is_a_fault_of_every_split(flat, open_folder, as_nobody):
    root = open_folder / "flat"
    shutil.copytree(flat, root)
    closed = root / "images" / "closed"
    closed.mkdir()
    closed.chmod(0)
    with as_nobody():
        for split in SPLITS:
            dataset = Folder(root=root, split=split, classes=["a", "b"])
            assert faults(dataset) == {"unreadable_folder_0": "D11"}
            assert code(lambda dataset=dataset: dataset[len(dataset) - 1]).place == str(closed)


def test_doubts(folder):
    Image.fromarray(indices(0, 3)).save(folder / "masks" / "val" / "alone.png")
    (folder / "images" / "val" / "photo.heic").touch()
    (folder / "images" / "val" / ".DS_Store").touch()
    Image.fromarray(picture(0)).save(folder / "images" / "loose.png")
    found = {finding.code: finding for finding in Folder(root=folder, split="val").problems()}
    assert set(found) == {"D33", "D37"}
    assert found["D33"].path.endswith("alone.png")
    texts = [finding.what for finding in Folder(root=folder, split="val").problems()]
    assert any(".heic" in text for text in texts)
    assert any("beside" in text for text in texts)
    assert len(texts) == 3
    assert all(finding.severity == "warning" for finding in found.values())


def test_wrong_trees(folder, tmp_path):
    error = code(lambda: Folder(root=tmp_path / "none", split="train"))
    assert (error.code, error.place) == ("D20", str(tmp_path / "none"))
    error = code(lambda: Folder(root=folder, split="train", masks="labels"))
    assert error.code == "D20"
    assert "found classes.yaml, images, masks" in error.what
    for name in ("p0.png", "p1.jpg", "p2.png"):
        (folder / "images" / "test" / name).unlink()
    assert code(lambda: Folder(root=folder, split="test")).code == "D22"
    (folder / "images" / "test").rmdir()
    error = code(lambda: Folder(root=folder, split="test"))
    assert error.code == "D20"
    assert "train, val" in error.what
    (folder / "images" / "train").rename(folder / "images" / "training")
    (folder / "images" / "val").rename(folder / "images" / "valid")
    error = code(lambda: Folder(root=folder, split="val"))
    assert error.code == "D20"
    assert "training, valid" in error.what
    (folder / "images" / "training").rename(folder / "images" / "train")
    (folder / "images" / "valid").rename(folder / "images" / "val")
    (folder / "masks" / "val").rename(folder / "masks" / "valid")
    assert code(lambda: Folder(root=folder, split="val")).place == str(folder / "masks" / "val")
    (folder / "classes.yaml").unlink()
    assert code(lambda: Folder(root=folder, split="train")).code == "D29"
    with pytest.raises(ConfigError, match="C52"):
        Folder(root=folder, split="validation")
