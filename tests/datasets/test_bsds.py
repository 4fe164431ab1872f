"""BSDS500 in its own layout, small and real."""

import pytest
import torch
from dataset_trees import SPLITS, picture
from edge_trees import bsds_tree, lines, write_annotators

from visionkit.datasets.bsds import BSDS
from visionkit.datasets.check import check
from visionkit.errors import ConfigError, DataError


@pytest.mark.parametrize(("inside", "root"), [("BSR/BSDS500/data", ""), ("BSDS500/data", "BSDS500"), ("data", "data")])
def test_samples_equal_the_files(tmp_path, inside, root):
    bsds_tree(tmp_path / inside)
    for split, count in SPLITS.items():
        dataset = BSDS(root=tmp_path / root, split=split)
        assert len(dataset) == count
        for number in range(count):
            sample = dataset[number]
            assert sample["key"] == dataset.key(number) == f"{split}{number}"
            assert (sample["image"].permute(1, 2, 0).numpy() == picture(number)).all()
            assert (sample["edges"].numpy() == lines(number, number + 1)).all()
            assert sample["edges"].dtype == torch.int8
            assert sample["valid"].shape == (12, 16)


def test_training_on_validation_too(tmp_path):
    bsds_tree(tmp_path)
    both = BSDS(root=tmp_path, split="train", train_on_val=True)
    assert [both.key(index) for index in range(len(both))] == [
        *(f"train{number}" for number in range(6)),
        *(f"val{number}" for number in range(4)),
    ]
    assert len(BSDS(root=tmp_path, split="val", train_on_val=True)) == 4
    assert len(BSDS(root=tmp_path, split="test", train_on_val=True)) == 3


def test_tolerance_is_the_datasets_own(tmp_path):
    bsds_tree(tmp_path)
    assert BSDS(root=tmp_path, split="val").labels["edges"].tolerance == 0.0075
    assert BSDS(root=tmp_path, split="val", tolerance=0.011).labels["edges"].tolerance == 0.011


def test_faults(tmp_path):
    with pytest.raises(ConfigError, match="did you mean test"):
        BSDS(root=tmp_path, split="tset")
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError) as caught:
            BSDS(root=root, split="test")
        assert caught.value.code == "D20"
    bsds_tree(tmp_path)
    (tmp_path / "groundTruth" / "val" / "val1.mat").unlink()
    (tmp_path / "groundTruth" / "val" / "val2.mat").write_bytes(b"nothing")
    dataset = BSDS(root=tmp_path, split="val")
    found = {}
    for index in range(len(dataset)):
        found[dataset.key(index)] = [error.code for error in dataset.examine(index)[1]]
    assert found == {"val0": [], "val1": ["D24"], "val2": ["D80"], "val3": []}


def test_a_picture_without_edges_is_a_doubt(tmp_path):
    bsds_tree(tmp_path)
    write_annotators(tmp_path / "groundTruth" / "val" / "val1.mat", lines(0, 3) * 0)
    (tmp_path / "groundTruth" / "val" / "val2.mat").write_bytes(b"")
    found = {(finding.key, finding.code, finding.severity) for finding in check(BSDS(root=tmp_path, split="val"))}
    assert found == {("val1", "D85", "warning"), ("val2", "D12", "error")}


@pytest.mark.realdata
def test_real_bsds500(real_data):
    annotators = set()
    for split, count in (("train", 90), ("val", 30), ("test", 70)):
        dataset = BSDS(root=real_data / "bsds500", split=split)
        assert len(dataset) == count
        for sample in (dataset[index] for index in range(0, count, 10)):
            assert sorted(sample["image"].shape) == [3, 321, 481]
            assert sample["edges"].shape[1:] == sample["image"].shape[1:]
            assert 0.001 < sample["edges"].float().mean() < 0.1
            annotators.add(len(sample["edges"]))
    assert annotators <= set(range(4, 10))
    assert len(annotators) > 1
