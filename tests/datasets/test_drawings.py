"""Drawn edges as pictures, over another dataset."""

from functools import partial

import pytest
import torch
from edge_trees import bsds_tree, lines

from visionkit.datasets.bsds import BSDS
from visionkit.datasets.camvid import CamVid
from visionkit.datasets.check import check
from visionkit.datasets.drawings import Drawings
from visionkit.datasets.synthetic_edges import ShapeEdges
from visionkit.errors import ConfigError
from visionkit.losses.edge_targets import consensus


def test_images_are_what_the_annotators_drew(tmp_path):
    bsds_tree(tmp_path)
    drawings, dataset = Drawings(BSDS, root=tmp_path, split="train"), BSDS(root=tmp_path, split="train")
    assert len(drawings) == len(dataset) > 2
    assert drawings.labels == dataset.labels
    for number in range(len(dataset)):
        sample = drawings[number]
        assert sample["key"] == drawings.key(number) == dataset.key(number)
        share = lines(number, number + 1).mean(0)
        wanted = torch.from_numpy(share).where(torch.from_numpy(share) < 0.3, 1.0)
        assert sample["image"].dtype == torch.uint8
        assert sample["image"].shape == (1, 12, 16)
        assert (sample["image"][0] == (255 * wanted).round()).all()
        assert torch.equal(sample["edges"], dataset[number]["edges"])


def test_another_truth_and_unknown_places(tmp_path):
    made = partial(ShapeEdges, length=2, size=16)
    drawings = Drawings(made, split="val", truth=partial(consensus, threshold=0.7))
    assert set(drawings[0]["image"].unique().tolist()) <= {0, 255}


def test_faults_are_those_of_the_dataset(tmp_path):
    bsds_tree(tmp_path)
    (tmp_path / "groundTruth" / "val" / "val1.mat").unlink()
    drawings = Drawings(BSDS, root=tmp_path, split="val")
    assert {finding.code for finding in check(drawings)} == {"D24"}
    assert drawings.examine(1)[1][0].code == "D24"


def test_mistakes_are_named(camvid):
    with pytest.raises(ConfigError, match="C161"):
        Drawings(ShapeEdges, split="val", channels=3)
    with pytest.raises(ConfigError, match="C162"):
        Drawings(CamVid, split="val", root=camvid)
