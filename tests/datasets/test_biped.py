"""BIPED in its own layout."""

import pytest
from dataset_trees import picture
from edge_trees import biped_tree, lines

from visionkit.datasets.biped import BIPED
from visionkit.errors import ConfigError, DataError


@pytest.mark.parametrize("inside", ["BIPEDv2/BIPED/edges", "BIPED/edges", "edges", ""])
def test_samples_equal_the_files(tmp_path, inside):
    biped_tree(tmp_path / inside)
    dataset = BIPED(root=tmp_path, split="test")
    assert [dataset.key(index) for index in range(len(dataset))] == ["RGB_000", "RGB_001", "RGB_002"]
    for number in range(3):
        assert (dataset[number]["image"].permute(1, 2, 0).numpy() == picture(number)).all()
        assert (dataset[number]["edges"].numpy() == lines(number)).all()


def test_validation_is_set_aside_from_training(tmp_path):
    biped_tree(tmp_path)
    train, val = (BIPED(root=tmp_path, split=split, val_share=0.3) for split in ("train", "val"))
    keys = [{dataset.key(index) for index in range(len(dataset))} for dataset in (train, val)]
    assert keys[0] | keys[1] == {f"RGB_{number:03d}" for number in range(20)}
    assert not keys[0] & keys[1]
    assert keys[1]


def test_faults(tmp_path):
    with pytest.raises(DataError) as caught:
        BIPED(root=tmp_path, split="train")
    assert caught.value.code == "D20"
    biped_tree(tmp_path)
    with pytest.raises(ConfigError, match="did you mean train"):
        BIPED(root=tmp_path, split="trian")
    with pytest.raises(ConfigError) as wrong:
        BIPED(root=tmp_path, split="train", val_share=1.5)
    assert wrong.value.code == "C53"
