"""Edge maps from the disk: what is read, and what is said of files that are none."""

import numpy as np
import pytest
import torch
from edge_trees import lines, write_annotators
from PIL import Image
from scipy.io import savemat

from visionkit.datasets.edge_maps import EdgeReader, read_annotators, read_drawing
from visionkit.errors import DataError


def code(call) -> str:
    with pytest.raises(DataError) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize("annotators", [1, 5])
@pytest.mark.parametrize("kind", [np.uint8, bool, np.float64])
def test_annotators(tmp_path, annotators, kind):
    write_annotators(tmp_path / "a.mat", lines(3, annotators).astype(kind))
    found = EdgeReader()(tmp_path / "a.mat")
    assert found.dtype == torch.int8
    assert (found.numpy() == lines(3, annotators)).all()


def test_one_pixel_high(tmp_path):
    write_annotators(tmp_path / "a.mat", lines(1, 2, height=1))
    assert read_annotators(tmp_path / "a.mat").shape == (2, 1, 16)
    Image.fromarray(np.full((1, 16), 255, np.uint8)).save(tmp_path / "a.png")
    assert read_drawing(tmp_path / "a.png").all()


def test_files_that_are_no_annotators(tmp_path):
    path = tmp_path / "a.mat"
    assert code(lambda: read_annotators(path)) == "D10"
    path.write_bytes(b"")
    assert code(lambda: read_annotators(path)) == "D12"
    path.write_bytes(b"no file of MATLAB at all" * 20)
    assert code(lambda: read_annotators(path)) == "D80"
    savemat(path, {"other": np.zeros(3)})
    assert code(lambda: read_annotators(path)) == "D81"
    for contents in (np.zeros((4, 5)), "text", {"Segmentation": np.zeros((3, 3))}, np.empty((0, 0), object)):
        savemat(path, {"groundTruth": contents})
        assert code(lambda: read_annotators(path)) == "D81"
    write_annotators(path, lines(0, 2) * 7)
    assert code(lambda: read_annotators(path)) == "D82"
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0], cell[0, 1] = ({"Boundaries": np.zeros((height, 5))} for height in (4, 6))
    savemat(path, {"groundTruth": cell})
    assert code(lambda: read_annotators(path)) == "D82"


def test_truncated_at_any_place(tmp_path):
    path = tmp_path / "a.mat"
    write_annotators(path, lines(2, 3))
    whole = path.read_bytes()
    for length in range(1, len(whole) - 8, 61):
        path.write_bytes(whole[:length])
        assert code(lambda: read_annotators(path)) in ("D80", "D81")


def test_version_7_3_is_named(tmp_path):
    path = tmp_path / "a.mat"
    header = b"MATLAB 7.3 MAT-file, HDF5".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header + bytes(512))
    with pytest.raises(DataError, match=r"7\.3.*-v7"):
        read_annotators(path)


def test_drawings_are_split_at_128(tmp_path):
    values = np.zeros((9, 9), np.uint8)
    values[4], values[5] = 128, 127
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = np.zeros((1, 9, 9))
    expected[0, 4] = 1
    assert (read_drawing(tmp_path / "a.png").numpy() == expected).all()
    Image.fromarray(255 - values).save(tmp_path / "b.bmp")
    assert (read_drawing(tmp_path / "b.bmp", dark=True).numpy() == expected).all()
    Image.fromarray(values > 127).save(tmp_path / "bits.png")
    assert (read_drawing(tmp_path / "bits.png").numpy() == expected).all()


def test_files_that_are_no_drawings(tmp_path):
    Image.fromarray(lines(0)[0] * 255).save(tmp_path / "a.jpg")
    assert code(lambda: read_drawing(tmp_path / "a.jpg")) == "D18"
    Image.fromarray(np.stack([lines(0)[0] * 255, *[lines(1)[0] * 255] * 2], -1)).save(tmp_path / "a.png")
    assert code(lambda: read_drawing(tmp_path / "a.png")) == "D83"
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    assert code(lambda: read_drawing(tmp_path / "a.tif")) == "D83"
    Image.fromarray(255 - lines(0)[0] * 255).save(tmp_path / "b.png")
    with pytest.raises(DataError, match="dark=true") as caught:
        read_drawing(tmp_path / "b.png")
    assert caught.value.code == "D84"
