"""Generated lines: determinism, sizes, fonts, scripts from the right, and that the text can be seen."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from visionkit.datasets.line_fonts import BUILT_IN, TrueType, find_fonts, usable
from visionkit.datasets.line_render import handwritten, natural_ratio, photographed, thickened, trimmed
from visionkit.datasets.line_styles import Handwriting, Lettering
from visionkit.datasets.line_words import Pronounceable, Sentences
from visionkit.datasets.synthetic_lines import SyntheticLines
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import ConfigError

HEBREW = Pronounceable(onsets="\u05d1 \u05d2 \u05e9", vowels="\u05d0 \u05d5", codas="\u05dd", numbers=0, capitals=0)
SYSTEM = find_fonts()
needs_fonts = pytest.mark.skipif(not SYSTEM, reason="the system has no fonts")


def lines(split: str = "train", style: object = None, **options: object) -> SyntheticLines:
    return SyntheticLines(split, Sentences(Pronounceable()), style or Handwriting(), **options)  # type: ignore[arg-type]


def test_samples_depend_on_split_index_and_seed_alone() -> None:
    first, again = lines(), lines()
    assert torch.equal(first[7]["image"], again[7]["image"])
    assert first[7]["text"] == again[7]["text"]
    assert len({dataset[7]["text"] for dataset in (first, lines("val"), lines(seed=1))}) == 3


@pytest.mark.parametrize("style", [Handwriting(), Lettering()])
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes_and_texts_are_known_before_anything_is_drawn(style: object, channels: int) -> None:
    dataset = lines(style=style, channels=channels, height=[20, 40])
    for index in range(12):
        sample = dataset[index]
        assert sample["image"].shape == (channels, *dataset.size(index))
        assert sample["image"].dtype == torch.uint8
        assert sample["valid"].shape == dataset.size(index)
        assert sample["text"] == dataset.text(index)
        assert 20 <= sample["image"].shape[1] <= 40


def test_length_is_only_a_number() -> None:
    dataset = lines(length=10**9)
    assert dataset[10**9 - 1]["text"]
    with pytest.raises(IndexError):
        dataset[10**9]


@pytest.mark.parametrize("style", [Handwriting(), Lettering()])
def test_blank_lines_are_paper_and_others_are_not(style: object) -> None:
    blank = SyntheticLines("train", Sentences(Pronounceable(), blank=1.0), style)  # type: ignore[arg-type]
    assert blank[0]["text"] == ""
    contrast = []
    for dataset in (blank, lines(style=style)):
        pictures = [cv2.blur(dataset[index]["image"][0].numpy(), (3, 3)).astype(float) for index in range(20)]
        contrast.append(np.median([np.abs(np.diff(picture)).max() for picture in pictures]))
    assert contrast[1] > 3 * contrast[0]


def test_the_charset_covers_all_and_may_be_larger() -> None:
    dataset = lines()
    assert set(dataset.labels["text"].characters) == Sentences(Pronounceable()).characters
    larger = lines(text=TextRules(characters="".join(Sentences(Pronounceable()).characters) + "@"))
    assert "@" in larger.labels["text"].characters
    with pytest.raises(ConfigError, match=r"C189.*lacks"):
        lines(text=TextRules(characters="abc"))


@needs_fonts
def test_text_from_the_right_is_drawn_from_the_right() -> None:
    fonts = usable(SYSTEM, "\u05d1\u05dd")
    ink = trimmed(fonts[0].draw("\u05d1" + "\u05dd" * 8))
    alone = trimmed(fonts[0].draw("\u05d1"))
    # The first letter stands at the right end.
    assert (
        cv2.matchTemplate(ink, alone, cv2.TM_CCOEFF_NORMED).argmax(axis=None) % (ink.shape[1] - alone.shape[1] + 1)
        > ink.shape[1] // 2
    )
    dataset = SyntheticLines("train", HEBREW, Handwriting())
    assert dataset.labels["text"].right_to_left
    assert dataset[0]["image"].numel()


@needs_fonts
def test_fonts_are_chosen_by_what_they_have(tmp_path: Path) -> None:
    assert all(font.covers("A\u00e9") for font in usable(SYSTEM, "A\u00e9"))
    assert not SYSTEM[0].covers("\U0010fffc")
    with pytest.raises(ConfigError, match=r"C189.*\U0010fffc"):
        usable([*SYSTEM, *BUILT_IN], "a\U0010fffc")
    (tmp_path / "x.ttf").write_bytes(b"no font")
    with pytest.raises(ConfigError, match=r"C189.*no fonts"):
        find_fonts(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/y.ttf").write_bytes(SYSTEM[0].path.read_bytes())
    (font,) = find_fonts(tmp_path / "in")
    assert isinstance(font, TrueType)
    assert (font.draw("ab") == SYSTEM[0].draw("ab")).all()


def test_without_any_font_ascii_is_drawn_with_what_opencv_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visionkit.datasets.synthetic_lines.find_fonts", lambda folder: ())
    assert lines()[1]["image"].numel()
    with pytest.raises(ConfigError, match="C189"):
        SyntheticLines("train", HEBREW, Handwriting())


@pytest.mark.parametrize("distort", [handwritten, photographed])
@pytest.mark.parametrize("size", [(8, 4), (32, 300), (64, 64), (40, 5000)])
def test_distortion_keeps_the_ink_inside(distort: object, size: tuple[int, int]) -> None:
    ink = np.full((30, 200), 255, dtype=np.uint8)
    rng = np.random.default_rng(0)
    shares = [distort(ink, rng, size).mean() / 255 for _ in range(10)]  # type: ignore[operator]
    assert min(shares) > 0.2
    assert max(shares) < 1
    still = distort(ink, rng, size, strength=0.0)  # type: ignore[operator]
    rows, columns = np.flatnonzero(still.max(1)), np.flatnonzero(still.max(0))
    inner = [places[len(places) // 6 : -(len(places) // 6) or None] for places in (rows, columns)]
    assert still[np.ix_(*inner)].min() == 255
    assert len(rows) < size[0] or size[0] < 16


def test_thickness_by_parts_of_a_pixel() -> None:
    ink = np.zeros((9, 9), dtype=np.uint8)
    ink[3:6, 3:6] = 255
    areas = [int(thickened(ink, amount).sum()) // 255 for amount in (-1, 0, 1)]
    assert areas == [1, 9, 25]
    assert areas[1] < thickened(ink, 0.5).sum() / 255 < areas[2]


@needs_fonts
def test_the_natural_ratio_is_about_that_of_fonts() -> None:
    for text in ("hello World", "moon", "illicit", "gypsy", "A"):
        ratios = [(ink := trimmed(font.draw(text))).shape[1] / ink.shape[0] for font in SYSTEM]
        assert 0.6 < natural_ratio(text) / np.median(ratios) < 1.6


def test_wrong_options() -> None:
    for code, options in (("C50", {"channels": 4}), ("C187", {"height": 2}), ("C52", {"length": {"val": 1}})):
        with pytest.raises(ConfigError, match=code):
            lines(**options)
