"""A folder of own pictures and edge maps."""

import numpy as np
import pytest
from dataset_trees import picture
from edge_trees import lines, write_annotators
from PIL import Image

from visionkit.datasets.edges_folder import EdgesFolder
from visionkit.errors import ConfigError, DataError


def write(root, splits=("",), suffix="", dark=False):
    for split in splits:
        (root / "images" / split).mkdir(parents=True)
        (root / "edges" / split).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(picture(number)).save(root / "images" / split / f"p{number}.png")
            drawn = lines(number, 2)
            if number == 3:
                write_annotators(root / "edges" / split / f"p{number}{suffix}.mat", drawn)
            else:
                values = drawn[0] * 255
                Image.fromarray(255 - values if dark else values).save(
                    root / "edges" / split / f"p{number}{suffix}.png"
                )


@pytest.mark.parametrize("dark", [False, True])
def test_pictures_and_mat_files_side_by_side(tmp_path, dark):
    write(tmp_path, ("train", "val", "test"), "_edges", dark)
    for split in ("train", "val", "test"):
        dataset = EdgesFolder(root=tmp_path, split=split, edge_suffix="_edges", dark=dark)
        assert [dataset.key(index) for index in range(len(dataset))] == ["p0", "p1", "p2", "p3"]
        for number in range(4):
            expected = lines(number, 2)[: 2 if number == 3 else 1]
            assert (dataset[number]["edges"].numpy() == expected).all()


def test_without_split_folders_the_name_decides(tmp_path):
    write(tmp_path)
    dataset = EdgesFolder(root=tmp_path, split="val", fractions=(0, 1, 0))
    assert [dataset.key(index) for index in range(len(dataset))] == ["p0", "p1", "p2", "p3"]
    with pytest.raises(DataError) as caught:
        EdgesFolder(root=tmp_path, split="train", fractions=(0, 1, 0))
    assert caught.value.code == "D22"


def test_faults(tmp_path):
    with pytest.raises(ConfigError, match="did you mean val"):
        EdgesFolder(root=tmp_path, split="vall")
    with pytest.raises(DataError) as caught:
        EdgesFolder(root=tmp_path, split="val")
    assert caught.value.code == "D20"
    write(tmp_path, ("val",))
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "edges" / "val" / "p0.png")
    dataset = EdgesFolder(root=tmp_path, split="val", tolerance=0.01)
    assert dataset.labels["edges"].tolerance == 0.01
    with pytest.raises(DataError) as caught:
        dataset[0]
    assert caught.value.code == "D25"
