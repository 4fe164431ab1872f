import numpy as np
import pytest
import torch
from scipy.io import savemat

from visionkit.datasets.regions import BSDSRegions, region_sizes
from visionkit.errors import DataError


def saved(path, *maps):
    cells = np.empty((1, len(maps)), dtype=object)
    for index, regions in enumerate(maps):
        cells[0, index] = {"Segmentation": regions.astype(np.uint16), "Boundaries": np.zeros_like(regions, np.uint8)}
    savemat(path, {"groundTruth": cells})
    return path


def regions(*areas: int) -> np.ndarray:
    """One row of 100 pixels with regions of these lengths, numbered from 1 as in BSDS500."""
    return np.repeat(np.arange(1, len(areas) + 1), areas)[None]


def test_a_pixel_has_the_class_of_its_regions_share(tmp_path) -> None:
    file = saved(tmp_path / "a.mat", regions(1, 2, 5, 6, 20, 21, 45))
    expected = np.repeat([0, 1, 1, 2, 2, 3, 3], (1, 2, 5, 6, 20, 21, 45))
    assert region_sizes(file).tolist() == [expected.tolist()]


def test_the_annotator_of_the_median_number_of_regions_counts(tmp_path) -> None:
    file = saved(tmp_path / "a.mat", regions(*[1] * 100), regions(100), regions(50, 50))
    assert region_sizes(file).unique().tolist() == [3]
    file = saved(tmp_path / "b.mat", regions(*[1] * 100), regions(*[2] * 50), regions(100))
    assert region_sizes(file).unique().tolist() == [1]


def test_a_file_without_segmentations_is_named(tmp_path) -> None:
    cells = np.empty((1, 1), dtype=object)
    cells[0, 0] = {"Boundaries": np.zeros((3, 4), np.uint8)}
    savemat(tmp_path / "a.mat", {"groundTruth": cells})
    with pytest.raises(DataError, match=r"D81\] .*a\.mat.*segmentation.*bsds500"):
        region_sizes(tmp_path / "a.mat")


@pytest.mark.realdata
def test_real_pictures_carry_both_labels(real_data) -> None:
    layout = BSDSRegions(real_data / "bsds500", "val")
    sample = layout[0]
    assert set(layout.labels) == {"edges", "mask"}
    assert sample["mask"].shape == sample["image"].shape[1:] == sample["edges"].shape[1:]
    assert sample["mask"].dtype == torch.int64
    assert {0, 1, 2, 3} >= set(sample["mask"].unique().tolist())
