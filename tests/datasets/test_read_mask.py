"""Masks of every coding against plain arrays and dictionaries."""

import numpy as np
import pytest
import torch
from PIL import Image

from visionkit.datasets.masks import ColorMap, MaskReader, read_index_mask
from visionkit.errors import ConfigError, DataError

RNG = np.random.default_rng(1)
INDEX = RNG.integers(0, 4, (9, 11), dtype=np.uint8)
COLORS = ((0, 0, 0), (128, 64, 128), (255, 0, 1), (1, 0, 255))
TABLE = np.array(COLORS, dtype=np.uint8)


def save(tmp_path, image, name="m.png", **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(tmp_path / name, **options)
    return tmp_path / name


def palette(index, table):
    image = Image.fromarray(index)
    image.putpalette(np.asarray(table, np.uint8).ravel().tolist())
    return image


def fails(call, path):
    with pytest.raises(DataError) as caught:
        call(path)
    assert caught.value.place == str(path)
    return caught.value


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["m.png", "m.tif"])
def test_indices(tmp_path, dtype, name):
    values = RNG.integers(0, np.iinfo(dtype).max + 1, (9, 11)).astype(dtype)
    mask = read_index_mask(save(tmp_path, values, name))
    assert mask.dtype == torch.int64
    assert (mask.numpy() == values).all()


def test_1_bit_mask_is_0_and_1(tmp_path):
    bits = INDEX > 1
    assert (read_index_mask(save(tmp_path, bits)).numpy() == bits).all()


def test_transparency_of_a_mask_is_dropped(tmp_path):
    both = np.stack([INDEX, 255 - INDEX], -1)
    assert (read_index_mask(save(tmp_path, both)).numpy() == INDEX).all()


def test_palette_means_its_index(tmp_path):
    path = save(tmp_path, palette(INDEX, RNG.integers(0, 256, (256, 3))))
    assert (read_index_mask(path).numpy() == INDEX).all()


def test_colors_against_a_dictionary(tmp_path):
    path = save(tmp_path, TABLE[INDEX])
    shuffled = dict(zip(COLORS, (7, 3, 9, 5), strict=True))
    expected = [[shuffled[tuple(color)] for color in row] for row in TABLE[INDEX].tolist()]
    assert read_index_mask(path, ColorMap(shuffled)).tolist() == expected


def test_many_colors(tmp_path):
    packed = RNG.choice(1 << 24, 300, replace=False)
    colors = [(int(p) & 255, int(p) >> 8 & 255, int(p) >> 16) for p in packed]
    index = RNG.integers(0, 300, (40, 40))
    path = save(tmp_path, np.array(colors, np.uint8)[index])
    assert (MaskReader(300, colors=tuple(colors))(path).numpy() == index).all()


def test_unknown_color_is_named_and_counted(tmp_path):
    picture = TABLE[INDEX]
    picture[0, :3], picture[5, 5] = (10, 20, 30), (1, 2, 3)
    error = fails(MaskReader(4, colors=COLORS), save(tmp_path, picture))
    assert error.code == "D27"
    assert "[10, 20, 30]" in error.what
    assert "3 pixels" in error.what
    assert "1 more" in error.what


def test_ignore_colors(tmp_path):
    reader = MaskReader(3, colors=COLORS[1:], ignore_colors=COLORS[:1])
    assert (reader(save(tmp_path, TABLE[INDEX])).numpy() == INDEX.astype(int) - 1).all()


def test_colors_without_a_map(tmp_path):
    error = fails(MaskReader(4), save(tmp_path, TABLE[INDEX]))
    assert error.code == "D28"
    assert "classes.yaml" in error.fix


def test_reordered_palette_is_read_by_its_colors(tmp_path):
    order = np.array([2, 0, 3, 1])
    path = save(tmp_path, palette(order[INDEX].astype(np.uint8), TABLE[np.argsort(order)]))
    assert not (read_index_mask(path).numpy() == INDEX).all()
    assert (MaskReader(4, colors=COLORS)(path).numpy() == INDEX).all()
    assert (MaskReader(4, colors=COLORS, coding="index")(path).numpy() == order[INDEX]).all()


def test_palette_only_for_show_is_read_by_its_indices(tmp_path):
    show = [(0, 0, 0), (9, 9, 9), (8, 8, 8), (7, 7, 7)]
    assert (MaskReader(4, colors=COLORS)(save(tmp_path, palette(INDEX, show))).numpy() == INDEX).all()


def test_palette_that_contradicts_its_indices(tmp_path):
    wrong = [(0, 0, 0), (255, 0, 1), (8, 8, 8), (7, 7, 7)]
    error = fails(MaskReader(4, colors=COLORS), save(tmp_path, palette(INDEX, wrong)))
    assert error.code == "D27"
    assert "[8, 8, 8]" in error.what or "[7, 7, 7]" in error.what


def test_grey_levels_as_colors(tmp_path):
    path = save(tmp_path, np.where(INDEX > 1, 255, 0).astype(np.uint8))
    reader = MaskReader(2, colors=((0, 0, 0), (255, 255, 255)), coding="color")
    assert (reader(path).numpy() == (INDEX > 1)).all()


def test_ignore_index(tmp_path):
    values = INDEX.copy()
    values[2, 3] = 255
    mask = MaskReader(4, ignore_index=255)(save(tmp_path, values))
    assert mask[2, 3] == -1
    assert (mask == -1).sum() == 1


def test_a_listed_class_can_mean_unknown_on_purpose(tmp_path):
    mask = MaskReader(4, ignore_index=0)(save(tmp_path, INDEX)).numpy()
    assert (mask == np.where(INDEX == 0, -1, INDEX.astype(int))).all()


def test_out_of_range_names_value_and_place(tmp_path):
    values = INDEX.copy()
    values[4, 7] = values[8, 0] = 200
    error = fails(MaskReader(4, ignore_index=255), save(tmp_path, values))
    assert error.code == "D26"
    assert "value 200" in error.what
    assert "row 4, column 7; 2 pixels" in error.what


def test_jpeg_and_float_masks(tmp_path):
    assert fails(MaskReader(4), save(tmp_path, INDEX, "m.jpg")).code == "D18"
    assert fails(MaskReader(4), save(tmp_path, INDEX.astype(np.float32), "m.tif")).code == "D17"
    exif = Image.Exif()
    exif[0x0112] = 6
    assert fails(MaskReader(4), save(tmp_path, INDEX, "turned.jpg", exif=exif)).code == "D18"


def test_exif_turns_masks_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert (read_index_mask(save(tmp_path, INDEX, exif=exif)).numpy() == np.rot90(INDEX, -1)).all()


def test_coding_that_is_none():
    with pytest.raises(ConfigError, match="C51"):
        MaskReader(4, coding="rgb")


@pytest.mark.parametrize(("count", "ignore_index"), [(256, 255), (300, 255)])
def test_the_usual_value_cannot_mean_unknown_where_it_is_a_class(count, ignore_index):
    with pytest.raises(
        ConfigError, match=rf"C58.*ignore_index={ignore_index}: is also one of .*null, or to .* {count} or"
    ):
        MaskReader(count, ignore_index)


@pytest.mark.parametrize(("count", "ignore_index"), [(255, 255), (11, 11), (300, 65535), (300, None), (3, -1)])
def test_what_is_no_class_can_mean_unknown(tmp_path, count, ignore_index):
    unknown = count - 1 if ignore_index in (None, -1) else ignore_index
    mask = MaskReader(count, ignore_index)(save(tmp_path, np.array([[count - 1, unknown]], np.uint16)))
    assert mask.tolist() == [[count - 1, unknown if unknown < count else -1]]
