import numpy as np
import pytest
import torch

from visionkit import drawing


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 19, 150])
def test_palette_is_distinct_deterministic_and_grows(n) -> None:
    colors = drawing.palette(n)
    assert len(colors) == len(set(colors)) == n
    assert colors == drawing.palette(151)[:n]
    assert all(0 <= value <= 255 and isinstance(value, int) for color in colors for value in color)


def test_palette_colors_are_far_apart() -> None:
    def least_distance(colors) -> float:
        place = drawing._oklab(np.array([*colors, (0, 0, 0), (255, 255, 255)]))
        distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
        return float(distance[~np.eye(len(place), dtype=bool)].min())

    random = [tuple(color) for color in np.random.default_rng(0).integers(0, 256, (30, 3)).tolist()]
    assert least_distance(drawing.palette(30)) > 2 * least_distance(random)
    assert least_distance(drawing.palette(19)) > 0.08


def test_palette_of_any_number() -> None:
    assert len(drawing.palette(5000)) == 5000


def test_oklab_of_known_colors() -> None:
    expected = {(255, 255, 255): (1, 0, 0), (255, 0, 0): (0.628, 0.225, 0.126), (0, 0, 255): (0.452, -0.032, -0.312)}
    np.testing.assert_allclose(drawing._oklab(np.array(list(expected))), list(expected.values()), atol=1e-3)


def test_to_uint8_rgb() -> None:
    picture = torch.randint(256, (3, 5, 4), dtype=torch.uint8)
    np.testing.assert_array_equal(drawing.to_uint8_rgb(picture), picture.permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(drawing.to_uint8_rgb(picture.float() / 255), picture.permute(1, 2, 0).numpy())
    for channels in (1, 2, 4):
        grey = drawing.to_uint8_rgb(torch.linspace(0, 1, channels * 6).view(channels, 2, 3))
        assert grey.shape == (2, 3, 3)
        assert (grey == grey[..., :1]).all()


@pytest.mark.parametrize("value", [0.0, -1000.0, float("nan"), float("inf")])
def test_to_uint8_rgb_of_volumes_and_oddities(value) -> None:
    stretched = drawing.to_uint8_rgb(torch.linspace(-500, 1500, 400).view(1, 20, 20))
    assert stretched.min() == 0
    assert stretched.max() == 255
    assert (np.diff(stretched[..., 0].ravel().astype(int)) >= 0).all()
    assert drawing.to_uint8_rgb(torch.full((1, 3, 3), value)).shape == (3, 3, 3)


def test_boundaries() -> None:
    mask = np.array([[0, 0, 1], [0, 0, 1], [2, 2, 2]])
    expected = np.array([[0, 1, 0], [1, 1, 1], [0, 0, 0]], dtype=bool)
    np.testing.assert_array_equal(drawing.boundaries(mask), expected)
    assert not drawing.boundaries(np.zeros((4, 4), dtype=int)).any()


def test_overlay_mixes_colors_and_spares_what_has_none() -> None:
    image = np.full((3, 6, 3), 100, dtype=np.uint8)
    mask = np.array([[0, 0, 1, 1, -1, -1]] * 3)
    result = drawing.overlay(image, mask, [(200, 0, 50), (0, 0, 0)], alpha=0.5)
    assert result[0, 0].tolist() == [150, 50, 75]
    assert result[0, 1].tolist() == [200, 0, 50]  # a border
    assert (result[:, 2:] == 100).all()
    assert (image == 100).all()
    np.testing.assert_array_equal(drawing.overlay(image, mask, [(200, 0, 50), (9, 9, 9)], alpha=0.0)[:, 0], image[:, 0])


def test_legend_breaks_into_lines() -> None:
    names, colors = ["road", "pedestrian", "sky"], drawing.palette(3)
    wide, narrow = drawing.legend(names, colors, 600), drawing.legend(names, colors, 90)
    assert wide.shape[1] == 600
    assert narrow.shape[0] == 3 * wide.shape[0]
    for color in colors:
        assert (wide == color).all(-1).any()
    assert drawing.legend([], [], 50).shape == (0, 50, 3)


def test_side_by_side_holds_every_panel() -> None:
    small, large = np.tile(np.uint8((7, 8, 9)), (10, 5, 1)), np.tile(np.uint8((9, 8, 7)), (20, 30, 1))
    panels = {"a": large, "a rather long caption": small}
    page = drawing.side_by_side(panels, ["cat"], [(1, 2, 3)])
    assert page.dtype == np.uint8
    assert (page == (9, 8, 7)).all(-1).sum() == 20 * 30
    assert (page == (7, 8, 9)).all(-1).sum() == 10 * 5
    assert (page == (1, 2, 3)).all(-1).any()
    assert drawing.side_by_side(panels).shape[0] < page.shape[0]


def test_fit_enlarges_and_thins_without_mixing() -> None:
    mask = np.arange(12).reshape(3, 4)
    large = drawing.fit(mask, small_px=12)
    assert large.shape == (9, 12)
    np.testing.assert_array_equal(large[1::3, 1::3], mask)
    assert drawing.fit(np.zeros((700, 300, 3), np.uint8), large_px=200).shape == (175, 75, 3)
    assert drawing.fit(np.zeros((700, 300)), 256, 1024).shape == (700, 300)


def test_stacked_pages_are_as_wide_as_the_widest() -> None:
    narrow, wide = np.zeros((2, 3, 3), np.uint8), np.full((4, 5, 3), 7, np.uint8)
    page = drawing.stacked([narrow, wide])
    assert page.shape == (6, 5, 3)
    assert (page[:2, :3] == 0).all()
    assert (page[:2, 3:] == 255).all()
    assert np.array_equal(page[2:], wide)
