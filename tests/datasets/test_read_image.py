"""Every kind of picture against Pillow by hand, and every kind of fault against its code."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_trees import huge_png
from PIL import Image

from visionkit.datasets.images import MAX_PIXELS, read_image
from visionkit.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (7, 5), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (7, 5)).astype(np.uint16)


def save(tmp_path: Path, image: Image.Image, name: str = "a.png", **options) -> Path:
    image.save(tmp_path / name, **options)
    return tmp_path / name


def hwc(tensor: torch.Tensor) -> np.ndarray:
    assert tensor.dtype == torch.uint8
    return tensor.permute(1, 2, 0).numpy()


def code(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_image(path)
    assert caught.value.place == str(path)
    return caught.value


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.jp2"])
def test_lossless_colour_is_returned_unchanged(tmp_path, name):
    options = {"irreversible": False} if name.endswith("jp2") else {}
    assert (hwc(read_image(save(tmp_path, Image.fromarray(RGB), name, **options))) == RGB).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_lossy_colour_equals_pillow(tmp_path, name):
    path = save(tmp_path, Image.fromarray(RGB), name)
    assert (hwc(read_image(path)) == np.asarray(Image.open(path).convert("RGB"))).all()


def test_grey_becomes_three_equal_channels_and_stays_one(tmp_path):
    path = save(tmp_path, Image.fromarray(GREY))
    assert (hwc(read_image(path)) == GREY[..., None]).all()
    assert read_image(path).shape == (3, 7, 5)
    assert (read_image(path, channels=1).numpy() == GREY[None]).all()


def test_colour_becomes_grey_by_601_luma(tmp_path):
    grey = read_image(save(tmp_path, Image.fromarray(RGB)), channels=1).numpy()[0]
    assert np.abs(grey - RGB @ np.array([0.299, 0.587, 0.114])).max() <= 1


def test_transparency_is_dropped(tmp_path):
    alpha = RNG.integers(0, 256, (7, 5, 1), dtype=np.uint8)
    rgba = save(tmp_path, Image.fromarray(np.concatenate([RGB, alpha], 2)), "rgba.png")
    assert (hwc(read_image(rgba)) == RGB).all()
    la = save(tmp_path, Image.fromarray(np.concatenate([GREY[..., None], alpha], 2)), "la.png")
    assert (hwc(read_image(la)) == GREY[..., None]).all()
    assert (read_image(la, channels=1).numpy()[0] == GREY).all()


@pytest.mark.parametrize("transparency", [None, 3, bytes(range(0, 250, 25))])
def test_palette_gives_its_colours(tmp_path, transparency):
    index = RNG.integers(0, 10, (7, 5), dtype=np.uint8)
    table = RNG.integers(0, 256, (256, 3), dtype=np.uint8)
    image = Image.fromarray(index)
    image.putpalette(table.ravel().tolist())
    options = {} if transparency is None else {"transparency": transparency}
    path = save(tmp_path, image, **options)
    assert Image.open(path).mode == "P"
    assert (hwc(read_image(path)) == table[index]).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "big.tif"])
def test_16_bit_grey_keeps_its_high_byte(tmp_path, name):
    deep = DEEP.astype(">u2") if name == "big.tif" else DEEP
    image = Image.frombytes("I;16B" if name == "big.tif" else "I;16", (5, 7), deep.tobytes())
    path = save(tmp_path, image, name)
    assert (read_image(path, channels=1).numpy()[0] == DEEP // 256).all()
    assert (hwc(read_image(path)) == (DEEP // 256)[..., None]).all()


def test_16_bit_colour_follows_the_same_rule(tmp_path):
    import cv2

    deep = RNG.integers(0, 65536, (7, 5, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., ::-1])
    assert (hwc(read_image(tmp_path / "a.png")) == deep // 256).all()


def test_cmyk_is_mixed_from_white(tmp_path):
    cmyk = np.zeros((1, 3, 4), np.uint8)
    cmyk[0, 1, 0], cmyk[0, 2, 3] = 255, 255
    path = save(tmp_path, Image.fromarray(cmyk, mode="CMYK"), "a.tif")
    assert hwc(read_image(path)).tolist() == [[[255, 255, 255], [0, 255, 255], [0, 0, 0]]]
    assert read_image(path, channels=1).shape == (1, 1, 3)


def test_1_bit_is_black_and_white(tmp_path):
    bits = RNG.integers(0, 2, (7, 5)).astype(bool)
    path = save(tmp_path, Image.fromarray(bits))
    assert Image.open(path).mode == "1"
    assert (read_image(path, channels=1).numpy()[0] == bits * 255).all()


EXIF = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
    99: lambda a: a,
}


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("orientation", EXIF)
def test_exif_rotation_is_applied(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, Image.fromarray(RGB), name, exif=exif)
    assert (hwc(read_image(path)) == EXIF[orientation](RGB)).all()


def test_first_picture_of_several_is_read(tmp_path):
    path = save(tmp_path, Image.fromarray(RGB), "a.tif", save_all=True, append_images=[Image.fromarray(255 - RGB)])
    assert (hwc(read_image(path)) == RGB).all()


def test_wrong_ending_does_not_matter(tmp_path):
    save(tmp_path, Image.fromarray(RGB), "a.png").rename(tmp_path / "a.jpg")
    assert (hwc(read_image(tmp_path / "a.jpg")) == RGB).all()


def test_one_pixel(tmp_path):
    assert read_image(save(tmp_path, Image.fromarray(RGB[:1, :1]))).shape == (3, 1, 1)


def test_channels_that_are_none(tmp_path):
    with pytest.raises(ConfigError, match="C50"):
        read_image(save(tmp_path, Image.fromarray(RGB)), channels=4)


def test_missing(tmp_path):
    assert code(tmp_path / "a.png").code == "D10"
    assert code(tmp_path / "no" / "a.png").code == "D10"


def test_unreadable(tmp_path):
    (tmp_path / "folder.png").mkdir()
    assert "folder" in code(tmp_path / "folder.png").what
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    error = code(tmp_path / "link.png")
    assert error.code == "D11"
    assert "gone.png" in error.what
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert code(tmp_path / "loop.png").code == "D11"
    os.mkfifo(tmp_path / "pipe.png")
    assert code(tmp_path / "pipe.png").code == "D11"
    assert code(Path("/dev/zero")).code == "D11"
    path = save(tmp_path, Image.fromarray(RGB))
    assert code(path / "b.png").code == "D11"


def test_without_permission(open_folder, as_nobody):
    path = save(open_folder, Image.fromarray(RGB))
    path.chmod(0)
    with as_nobody():
        error = code(path)
    assert error.code == "D11"
    assert "Permission denied" in error.what


def test_empty(tmp_path):
    (tmp_path / "a.png").touch()
    assert code(tmp_path / "a.png").code == "D12"


@pytest.mark.parametrize(
    "content", [b"x", b"\n\n", b"hello, I am a text file\n" * 40, bytes(500), b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_not_a_picture(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert code(tmp_path / "a.png").code == "D13"


def test_too_large_is_seen_in_the_header(tmp_path):
    (tmp_path / "a.png").write_bytes(huge_png(40000, 40000))
    error = code(tmp_path / "a.png")
    assert error.code == "D14"
    assert "1600000000" in error.what
    (tmp_path / "b.png").write_bytes(huge_png(MAX_PIXELS // 8000, 8001))
    error = code(tmp_path / "b.png")
    assert error.code == "D14"
    assert "12500 x 8001" in error.what
    (tmp_path / "c.png").write_bytes(huge_png(MAX_PIXELS // 8000, 8000))
    assert code(tmp_path / "c.png").code == "D15"  # small enough, so its pixels were asked for


FORMATS = {
    "PNG": {},
    "JPEG": {},
    "GIF": {},
    "WEBP": {},
    "BMP": {},
    "PPM": {},
    "TIFF": {"compression": "tiff_lzw"},
    "JPEG2000": {},
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_cut_is_an_error_of_its_own(tmp_path, kind):
    """Cut anywhere, a file is truncated (or, where its format does not show it, damaged), or still whole."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(2).integers(0, 256, (24, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind, **FORMATS[kind])
    content = buffer.getvalue()
    path = tmp_path / "a.img"
    path.write_bytes(content)
    whole = read_image(path)
    errors = {}
    for length in [1, 2, 3, 5, 9, 12, *range(14, len(content), max(1, len(content) // 60)), len(content) - 1]:
        path.write_bytes(content[:length])
        try:
            assert torch.equal(read_image(path), whole)  # only the end mark is lost
        except DataError as error:
            errors[length] = error
    codes = {length: error.code for length, error in errors.items()}
    assert set(codes.values()) <= {"D13", "D15", "D16"}
    assert all(f"{length} bytes" in error.what for length, error in errors.items() if error.code == "D15")
    if kind in ("PNG", "JPEG", "GIF", "WEBP"):
        assert {value for length, value in codes.items() if length > 12} == {"D15"}
    assert len(codes) > 60


def test_damage_inside(tmp_path):
    path = save(tmp_path, Image.fromarray(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)))
    content = bytearray(path.read_bytes())
    start = content.index(b"IDAT") + 4
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    assert code(path).code == "D16"


def test_noise_never_escapes(tmp_path):
    """Files with random bytes changed are read or are a DataError, nothing else."""
    rng, outcomes = np.random.default_rng(3), set()
    for kind in ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PPM"):
        buffer = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}
        Image.fromarray(RGB).save(buffer, kind, **options)
        for _ in range(60):
            content = bytearray(buffer.getvalue())
            for place in rng.integers(0, len(content), 3):
                content[place] = rng.integers(256)
            (tmp_path / "a.img").write_bytes(content)
            try:
                outcomes.add(str(read_image(tmp_path / "a.img").dtype))
            except DataError as error:
                outcomes.add(error.code)
    assert {"torch.uint8", "D15", "D16"} <= outcomes <= {"torch.uint8", "D13", "D14", "D15", "D16", "D17"}


def test_32_bit_has_no_range(tmp_path):
    assert code(save(tmp_path, Image.fromarray(np.ones((3, 3), np.float32)), "f.tif")).code == "D17"
    assert code(save(tmp_path, Image.fromarray(np.full((3, 3), 70000, np.int32)), "i.tif")).code == "D17"
