"""Pictures of recognised text: the line, what was read with its errors in colour, and the truth."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont, features
from rapidfuzz.distance import Levenshtein

from visionkit import drawing
from visionkit.layers.valid import real_size
from visionkit.types import Sample

RIGHT, _WRONG, _EXTRA, MISSING = (40, 40, 40), (205, 40, 30), (150, 60, 190), (20, 110, 200)
_PAPER, _GAP, FONT_PX = (255, 255, 255), 6, 20
_WIDEST_PX = 1600
_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts", "C:/Windows/Fonts")
_NOTHING = "\u2205"


class Piece(NamedTuple):
    """Some characters in one colour."""

    text: str
    color: drawing.Color


def page(sample: Sample, found: str | None, right_to_left: bool = False) -> UInt8[np.ndarray, "height width 3"]:
    """The line without padding over what was read and what is written; wide lines are made smaller.

    Against the truth characters that are wrong are red, those too many violet, and missing ones blue in the truth.
    """
    image = line_of(sample)
    true = sample.get("text")
    rows = []
    if found is not None:
        caption = "read" if true is None else f"read, CER {_rate(found, true):.2f}"
        rows.append((caption, pieces(found, true)[0]))
    if true is not None:
        rows.append(("written", pieces(found, true)[1] if found is not None else [Piece(true, RIGHT)]))
    strips = [_strip(caption, parts, image.shape[1], right_to_left) for caption, parts in rows]
    return drawing.stacked([image, *strips])


def line_of(sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
    """The line without padding, small ones enlarged and wide ones reduced."""
    real = tuple(slice(0, length) for length in real_size(sample["valid"])) if "valid" in sample else (...,)
    return _fitted(drawing.to_uint8_rgb(sample["image"][(slice(None), *real)]))


def pieces(found: str, true: str | None) -> tuple[list[Piece], list[Piece]]:
    """What was read, and what is written, in runs of one colour."""
    if true is None:
        return [Piece(found, RIGHT)], []
    colors = {"equal": RIGHT, "replace": _WRONG, "delete": _EXTRA, "insert": MISSING}
    read, written = [], []
    for step in Levenshtein.opcodes(found, true):
        read.append(Piece(found[step.src_start : step.src_end], colors[step.tag]))
        written.append(Piece(true[step.dest_start : step.dest_end], colors[step.tag]))
    return [piece for piece in read if piece.text], [piece for piece in written if piece.text]


def _rate(found: str, true: str) -> float:
    return Levenshtein.distance(found, true) / max(1, len(true))


def _fitted(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Small lines enlarged by whole numbers to be legible, wide ones reduced to fit a screen."""
    height, width = image.shape[:2]
    times = max(1, min(64 // height, _WIDEST_PX // width))
    image = image.repeat(times, 0).repeat(times, 1)
    if image.shape[1] <= _WIDEST_PX:
        return image
    size = (_WIDEST_PX, max(1, round(image.shape[0] * _WIDEST_PX / image.shape[1])))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _strip(caption: str, parts: Sequence[Piece], width: int, from_right: bool) -> UInt8[np.ndarray, "h w 3"]:
    """A caption and text below it, broken into lines where it is longer than ``width``."""
    caption_font = ImageFont.load_default(12)
    lines = _broken(parts or [Piece(_NOTHING, MISSING)], max(width, 12 * FONT_PX))
    height = 18 + len(lines) * (FONT_PX + 10) + _GAP
    widest = max([width, *(sum(_length(piece.text) for piece in line) + 2 * _GAP for line in lines)])
    strip = Image.new("RGB", (int(np.ceil(widest)), height), _PAPER)
    draw, top = ImageDraw.Draw(strip), 18
    draw.text((_GAP, 3), caption, fill=(120, 120, 120), font=caption_font)
    for line in lines:
        left = float(strip.width - _GAP if from_right else _GAP)
        for piece in line:
            left -= _length(piece.text) if from_right else 0
            write(draw, (left, top), piece)
            left += 0 if from_right else _length(piece.text)
        top += FONT_PX + 10
    return np.asarray(strip)


def _broken(parts: Sequence[Piece], width: float) -> list[list[Piece]]:
    lines: list[list[Piece]] = [[]]
    used = 0.0
    for text, color in parts:
        for character in text:
            wide = _length(character)
            if used + wide > width - 2 * _GAP and lines[-1]:
                lines.append([])
                used = 0.0
            used += wide
            last = lines[-1][-1] if lines[-1] else None
            if last is not None and last.color == color:
                lines[-1][-1] = Piece(last.text + character, color)
            else:
                lines[-1].append(Piece(character, color))
    return lines


def write(draw: ImageDraw.ImageDraw, place: tuple[float, float], piece: Piece) -> None:
    """Text with a fine line below what is not right, so that colour is not all that tells, and spaces can be seen."""
    left, top = place
    wide = _length(piece.text)
    if piece.color != RIGHT:
        bottom = top + FONT_PX + 6
        draw.line((left, bottom, left + max(2, wide - 1), bottom), fill=piece.color, width=2)
    for font, run in _runs(piece.text):
        draw.text((left, top), run, fill=piece.color, font=font)
        left += font.getlength(run)


def _length(text: str) -> float:
    return sum(font.getlength(run) for font, run in _runs(text))


def _runs(text: str) -> list[tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, str]]:
    return [(_font(number), "".join(run)) for number, run in groupby(text, key=_number_of)]


@lru_cache(4096)
def _number_of(character: str) -> int:
    """The first font that has the character; the default one where none has."""
    numbers = range(len(_files()) + 1)
    return next((number for number in numbers if character.isspace() or _has(number, character)), 0)


def _has(number: int, character: str) -> bool:
    font = _font(number)
    return bytes(font.getmask(character)) != bytes(font.getmask("\U0010fffd"))


@lru_cache(64)
def _font(number: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if number == 0:
        return ImageFont.load_default(FONT_PX)
    layout = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC
    try:
        return ImageFont.truetype(_files()[number - 1], FONT_PX, layout_engine=layout)
    except OSError:
        return ImageFont.load_default(FONT_PX)


@lru_cache(1)
def _files() -> tuple[str, ...]:
    """Fonts of this machine that are asked in turn for what the default font lacks; those for many scripts first."""
    found = [path for folder in _FOLDERS for path in sorted(Path(folder).rglob("*.[to]t[fc]"))]
    known = ("DejaVuSans.", "NotoSans-", "NotoSans", "NotoNaskh", "Arial Unicode", "FreeSans.", "Unifont")
    rank = {path: next((n for n, name in enumerate(known) if path.name.startswith(name)), len(known)) for path in found}
    return tuple(str(path) for path in sorted(found, key=lambda path: rank[path])[:40])
