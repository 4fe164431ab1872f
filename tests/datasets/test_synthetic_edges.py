"""Outlines of generated shapes: determinism, annotators, and that they lie where the picture changes."""

import cv2
import numpy as np
import torch

from visionkit.datasets.synthetic_edges import ShapeEdges


def test_samples_depend_on_split_index_and_seed_alone():
    first, again = ShapeEdges("train"), ShapeEdges("train")
    assert torch.equal(first[7]["image"], again[7]["image"])
    assert torch.equal(first[7]["edges"], again[7]["edges"])
    for other in (ShapeEdges("val")[7], ShapeEdges("train", seed=1)[7], first[8]):
        assert not torch.equal(first[7]["image"], other["image"])


def test_annotators_vary_in_number_and_in_what_they_draw():
    dataset = ShapeEdges("train", size=[40, 56], annotators=3)
    samples = [dataset[index] for index in range(40)]
    assert {len(sample["edges"]) for sample in samples} == {1, 2, 3}
    assert all(sample["edges"].shape[1:] == (40, 56) for sample in samples)
    assert any(len(sample["edges"]) > 1 and (sample["edges"][0] != sample["edges"][1]).any() for sample in samples)
    assert any(not sample["edges"].any() for sample in samples)


def test_edges_lie_where_the_picture_changes():
    dataset = ShapeEdges("val", channels=1, annotators=1)
    on, off = [], []
    for index in range(20):
        sample = dataset[index]
        grey = sample["image"][0].numpy().astype(np.float32)
        # The largest change within the pixel by which an annotator may be off.
        steep = cv2.dilate(np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)), np.ones((3, 3)))
        edges = sample["edges"][0].numpy() > 0
        on.append(steep[edges])
        off.append(steep[~edges])
    assert np.median(np.concatenate(on)) > 3 * np.median(np.concatenate(off))
