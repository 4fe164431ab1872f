"""Reading and writing NIfTI: every orientation against nibabel, round trips, and every kind of broken file."""

import gzip
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff
from volume_trees import AFFINE, image, labels, write

from visionkit.datasets.nifti import plain_volume, read_labels, read_volume, write_labels
from visionkit.datasets.nifti_files import file_name
from visionkit.errors import DataError

ORIENTATIONS = [
    np.array(list(zip(axes, flips, strict=True)), dtype=float)
    for axes in permutations(range(3))
    for flips in product((1, -1), repeat=3)
]


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=lambda o: "".join(nibabel.orientations.ornt2axcodes(o)))
def test_every_orientation_is_read_alike_and_written_back(orientation, tmp_path) -> None:
    values, mask = image(), labels()
    affine = AFFINE @ inv_ornt_aff(orientation, values.shape)
    path = write(tmp_path / "a.nii.gz", apply_orientation(values, orientation), affine)
    canonical = nibabel.as_closest_canonical(nibabel.load(path))
    volume = read_volume(path)
    assert np.array_equal(volume.array[0], canonical.get_fdata(dtype=np.float32).transpose(2, 1, 0))
    assert volume.spacing_mm == pytest.approx((4.0, 2.0, 1.5))
    assert np.allclose(volume.ras_affine, canonical.affine)
    truth = write(tmp_path / "b.nii", apply_orientation(mask, orientation), affine)
    turned = read_labels(truth)
    write_labels(tmp_path / "c.nii.gz", turned.array, like=turned)
    again = nibabel.load(tmp_path / "c.nii.gz")
    assert np.array_equal(np.asanyarray(again.dataobj), apply_orientation(mask, orientation))
    assert np.array_equal(again.affine, affine)
    assert again.get_data_dtype() == np.uint8


def test_slope_intercept_and_channels(tmp_path) -> None:
    picture = nibabel.Nifti1Image(np.arange(2 * 3 * 4 * 2, dtype=np.int16).reshape(2, 3, 4, 2), AFFINE)
    picture.header.set_slope_inter(0.5, 10)
    nibabel.save(picture, tmp_path / "a.nii")
    expected = nibabel.load(tmp_path / "a.nii").get_fdata()
    assert read_volume(tmp_path / "a.nii").array.shape == (2, 4, 3, 2)
    assert np.allclose(read_volume(tmp_path / "a.nii").array, expected.transpose(3, 2, 1, 0))


def test_units_become_millimetres(tmp_path) -> None:
    picture = nibabel.Nifti1Image(image(), np.diag([0.0015, 0.002, 0.004, 1]))
    picture.header.set_xyzt_units("meter")
    nibabel.save(picture, tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").spacing_mm == pytest.approx((4, 2, 1.5))


def test_many_labels_need_wider_numbers(tmp_path) -> None:
    volume = plain_volume(np.zeros((2, 3, 4)), (1, 1, 1))
    write_labels(tmp_path / "a.nii", np.full((2, 3, 4), 300), like=volume)
    assert (read_labels(tmp_path / "a.nii").array == 300).all()
    with pytest.raises(ValueError, match="do not belong"):
        write_labels(tmp_path / "a.nii", np.zeros((4, 3, 2)), like=volume)


def test_labels_stored_as_scaled_numbers_are_rounded(tmp_path) -> None:
    write(tmp_path / "a.nii", labels().astype(np.float32) + 1e-4)
    assert np.array_equal(read_labels(tmp_path / "a.nii").array, labels().transpose(2, 1, 0))


def broken(kind: str, path) -> None:
    """Makes a file with one fault."""
    content = gzip.decompress(write(path, image()).read_bytes())
    changed = bytearray(content)
    if kind == "cut":
        path.write_bytes(gzip.compress(content[:-20]))
    elif kind == "cut gzip":
        path.write_bytes(path.read_bytes()[:-30])
    elif kind == "plain":
        path.write_bytes(content)
    elif kind == "bytes":
        damaged = bytearray(path.read_bytes())
        damaged[-8] ^= 255  # the checksum of the stream
        path.write_bytes(damaged)
    elif kind == "text":
        path.write_bytes(gzip.compress(b"hello, this is no volume" * 40))
    elif kind == "pair":
        changed[344:348] = b"ni1\0"
        path.write_bytes(gzip.compress(changed))
    elif kind == "huge":
        changed[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
        path.write_bytes(gzip.compress(changed))
    elif kind == "flat":
        write(path, image((6, 5)))
    elif kind == "colours":
        write(path, np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]))
    elif kind == "nan":
        values = image()
        values[1, 2, 3] = np.nan
        write(path, values)
    elif kind == "affine":
        changed[280:328] = np.zeros(12, "<f4").tobytes()  # the rows of the sform
        path.write_bytes(gzip.compress(changed))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "missing":
        path.unlink()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("missing", "D10"),
        ("empty", "D12"),
        ("plain", "D50"),
        ("text", "D50"),
        ("pair", "D50"),
        ("cut", "D51"),
        ("cut gzip", "D51"),
        ("bytes", "D52"),
        ("huge", "D53"),
        ("flat", "D54"),
        ("nan", "D55"),
        ("affine", "D56"),
        ("colours", "D57"),
    ],
)
def test_a_broken_volume_is_named_with_its_fault(kind, code, tmp_path) -> None:
    path = tmp_path / "a.nii.gz"
    broken(kind, path)
    with pytest.raises(DataError) as error:
        read_volume(path)
    assert error.value.code == code
    assert str(path) in str(error.value)


def test_no_cut_or_noise_escapes(tmp_path) -> None:
    content = bytearray(write(tmp_path / "a.nii", image()).read_bytes())
    path, rng = tmp_path / "b.nii", np.random.default_rng(0)
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            read_volume(path)
    codes = set()
    for _ in range(400):
        noisy = bytearray(content)
        for place in rng.integers(0, 348, 4):
            noisy[place] = int(rng.integers(256))
        path.write_bytes(noisy)
        try:
            codes.add("" if np.isfinite(read_volume(path).array).all() else "not finite")
        except DataError as error:
            codes.add(error.code)
    assert {"", "D50"} < codes <= {"", "D50", "D51", "D52", "D53", "D54", "D55", "D56", "D57"}


@pytest.mark.parametrize(("values", "code"), [(labels() + 0.5, "D58"), (image((4, 4, 4, 2)), "D54")])
def test_what_are_no_labels(values, code, tmp_path) -> None:
    with pytest.raises(DataError) as error:
        read_labels(write(tmp_path / "a.nii", values))
    assert error.value.code == code


def test_names() -> None:
    assert [file_name(Path(name)) for name in ("a.b.nii.gz", "a.NII", "a")] == ["a.b", "a", "a"]
