"""Generated tables: the same for the same index, within their labels, with boxes around what is drawn."""

import numpy as np
import pytest
import torch

from visionkit.datasets.collate import collate
from visionkit.datasets.synthetic_tables import SyntheticTables
from visionkit.datasets.table_content import CHARACTERS, Form, compose
from visionkit.datasets.table_fonts import StrokeFont, families, font
from visionkit.datasets.table_render import look, measure, render
from visionkit.errors import ConfigError
from visionkit.text.table_grid import grid_of, is_complex
from visionkit.text.table_html import parse_table, table_html
from visionkit.text.table_tokens import HtmlCode, MergedCode, OtslCode


@pytest.fixture(scope="module")
def tables() -> SyntheticTables:
    return SyntheticTables("train")


def test_an_index_is_a_table(tables) -> None:
    again = SyntheticTables("train")
    for index in (0, 7, 4000):
        first, second = tables[index], again[index]
        assert torch.equal(first["image"], second["image"])
        assert first["table"] == second["table"]
    others = [SyntheticTables("val")[7], SyntheticTables("train", seed=1)[7], tables[8]]
    assert all(other["table"] != tables[7]["table"] for other in others)
    assert len(SyntheticTables("val", length={"val": 5})) == 5


def test_a_split_may_have_spans_of_its_own() -> None:
    spans = {"train": 0.9, "val": 0.0}
    shares = []
    for split in spans:
        tables = SyntheticTables(split, spans=spans)
        assert tables.labels == SyntheticTables("train").labels
        shares.append(sum(is_complex(tables[index]["table"].structure) for index in range(20)))
    assert shares[0] > 10
    assert shares[1] == 0


def test_every_table_is_a_rectangle_made_of_its_labels_and_survives_every_code(tables) -> None:
    labels, kinds, styles = tables.labels["table"], set(), set()
    for index in range(80):
        table = tables[index]["table"]
        assert set(table.structure) <= set(labels.structure)
        assert {token for cell in table.cells for token in cell.tokens} <= set(labels.content)
        grid = grid_of(table.structure)
        assert len(grid.spans) == len(table.cells)
        assert all((cell.box is None) == (not cell.tokens) for cell in table.cells)
        read = parse_table(table_html(table))
        assert [cell.tokens for cell in read.cells] == [cell.tokens for cell in table.cells]
        assert read.structure == table.structure
        assert all(
            code.decode(code.encode(table.structure)) == table.structure
            for code in (HtmlCode(), MergedCode(), OtslCode())
        )
        kinds.add(is_complex(table.structure))
        styles |= {token for cell in table.cells for token in cell.tokens if len(token) > 1}
    assert kinds == {True, False}
    assert styles == {"<b>", "</b>", "<i>", "</i>", "<sup>", "</sup>"}


def test_boxes_are_those_of_the_pixels_that_a_cell_darkens() -> None:
    """A table as it is and with one cell emptied differ in that cell's box alone."""
    rng = np.random.default_rng(3)
    text = compose(rng, Form(spans=0.9), 4, 5)
    style = look(rng, 4, (11, 11), families())
    layout = measure(text, style)
    size = tuple(length + 8 for length in layout.size)
    picture, table = render(text, style, layout, size, (4, 4))
    assert sum(bool(cell.tokens) for cell in table.cells) > 10
    for index, cell in enumerate(table.cells):
        runs = tuple(() if other == index else run for other, run in enumerate(text.runs))
        without, _ = render(type(text)(text.grid, runs, text.head), style, layout, size, (4, 4))
        rows, columns = np.nonzero((picture != without).any(2))
        if cell.box is None:
            assert not len(rows)
        else:
            found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert np.abs(np.subtract(found, cell.box)).max() <= 1  # the faintest pixels may equal the ground


def test_texts_do_not_touch_each_other_and_stay_inside(tables) -> None:
    for index in range(40):
        boxes = [cell.box for cell in tables[index]["table"].cells if cell.box]
        for number, (left, top, right, bottom) in enumerate(boxes):
            assert 0 <= left < right <= 320
            assert 0 <= top < bottom <= 192
            for other in boxes[:number]:
                assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_sizes() -> None:
    tight = SyntheticTables("val", tight=True, channels=1)
    shapes = {tuple(tight[index]["image"].shape) for index in range(12)}
    assert len(shapes) > 6
    assert all(shape[0] == 1 and shape[1] <= 192 and shape[2] <= 320 for shape in shapes)
    large = SyntheticTables("val", size=(400, 600), rows=(12, 14), columns=(8, 8), spans=0, words=1, font_px=(7, 8))
    grid = grid_of(large[0]["table"].structure)
    assert grid.columns > 5
    assert grid.rows > 9
    assert "<td" not in large.labels["table"].structure
    small = SyntheticTables("val", size=(32, 32), words=1, font_px=(5, 5), rows=(1, 2), columns=(1, 1))
    assert small[0]["image"].shape == (3, 32, 32)
    batch = collate([tight[0], tight[1]])
    assert len(batch["table"]) == 2


def test_plain_tables_have_no_tags() -> None:
    plain = SyntheticTables("val", plain=True)
    assert all(len(token) == 1 for token in plain.labels["table"].content)
    assert all(len(token) == 1 for index in range(30) for cell in plain[index]["table"].cells for token in cell.tokens)


def test_a_machine_without_fonts_draws_too(tmp_path, monkeypatch) -> None:
    bare = SyntheticTables("val", fonts=str(tmp_path))
    assert families(str(tmp_path)) == ("default",)
    assert sum(cell.box is not None for cell in bare[0]["table"].cells) > 2
    monkeypatch.setattr("visionkit.datasets.table_fonts.features.check", lambda name: False)
    font.cache_clear()
    assert isinstance(font("default", "bold", 12, str(tmp_path)), StrokeFont)
    strokes = bare[1]
    font.cache_clear()
    assert sum(cell.box is not None for cell in strokes["table"].cells) > 2
    assert strokes["image"].float().std() > 5


def test_every_character_is_seen_in_every_font() -> None:
    for family in families():
        for style in ("", "bold", "italic"):
            face = font(family, style, 12)
            blank = [character for character in CHARACTERS if not face.ink(character).mask.size]
            assert blank == [" "]
            masks = {face.ink(character).mask.tobytes() for character in CHARACTERS}
            assert len(masks) > len(CHARACTERS) - 3


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"channels": 2}, "C50"),
        ({"length": {"train": 3}}, "C52"),
        ({"spans": {"train": 0.5}}, "C52"),
        ({"size": (8, 320)}, "C54"),
        ({"rows": (3, 2)}, "C208"),
        ({"columns": (0, 2)}, "C208"),
        ({"font_px": (9,)}, "C208"),
    ],
)
def test_options_that_make_no_tables(options, code) -> None:
    with pytest.raises(ConfigError, match=code):
        SyntheticTables("val", **options)
