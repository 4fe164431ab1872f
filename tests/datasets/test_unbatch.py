"""Samples come out of a batch as they went in."""

import torch

from visionkit.datasets.collate import collate
from visionkit.datasets.unbatch import prediction_of, sample_of


def sample(height, width, points):
    return {
        "key": f"{height}x{width}",
        "image": torch.randint(0, 255, (3, height, width), dtype=torch.uint8),
        "valid": torch.ones(height, width, dtype=torch.bool),
        "points": torch.rand(points, 2),
    }


def test_padding_goes_and_points_stay_even_where_they_are_as_many_as_rows():
    samples = [sample(3, 2, 5), sample(5, 1, 0)]
    batch = collate(samples)
    for index, own in enumerate(samples):
        found = sample_of(batch, index)
        assert found.keys() == own.keys()
        assert found["key"] == own["key"]
        assert all(torch.equal(found[name], own[name]) for name in ("image", "valid", "points"))


def test_maps_of_a_prediction_are_cut_and_come_as_float32():
    batch = collate([sample(3, 2, 5), sample(5, 1, 0)])
    found = prediction_of({"density": torch.rand(2, 5, 2, dtype=torch.bfloat16)}, batch, 0)
    assert found["density"].shape == (3, 2)
    assert found["density"].dtype == torch.float32
