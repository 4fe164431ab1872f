"""Pictures for people: colours of classes, overlays, legends and panels. Arrays are ``h w 3`` in 0..255."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Color = tuple[int, int, int]

# Okabe and Ito 2008: told apart with every common form of colour blindness.
_FIRST: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_INK, _PAPER, _GAP, _FONT_PX = (40, 40, 40), (255, 255, 255), 8, 14


@lru_cache
def palette(n: int) -> tuple[Color, ...]:
    """``n`` colours, always the same: seven for the colour-blind, then each as far as possible from all before.

    Distance is Euclidean in OKLab (Ottosson 2020). Black, white and middle grey are kept away from. Beyond some
    hundred colours they repeat.
    """
    steps = np.array([0, 36, 73, 109, 146, 182, 219, 255])
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    place = _oklab(grid)
    grid, place = grid[place[:, 0] > 0.35], place[place[:, 0] > 0.35]  # darker ones all look black in an overlay
    taken = _oklab(np.array([(0, 0, 0), (255, 255, 255), (128, 128, 128), *_FIRST]))
    distance = np.linalg.norm(place[:, None] - taken[None], axis=-1).min(1)
    colors = list(_FIRST)
    while len(colors) < min(n, len(grid)):
        best = int(distance.argmax())
        colors.append((int(grid[best, 0]), int(grid[best, 1]), int(grid[best, 2])))
        distance = np.minimum(distance, np.linalg.norm(place - place[best], axis=-1))
    return tuple(colors[i % len(colors)] for i in range(n))


def to_uint8_rgb(image: Float[Tensor, "c h w"] | UInt8[Tensor, "c h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Picture of an image: three channels as they are, any other number by its first, in grey.

    Floats in 0..1 are scaled to 255; others (volumes) are stretched between their 1st and 99th percentile.
    """
    image = image.detach().cpu()
    image = image[:3] if image.shape[0] == 3 else image[:1].expand(3, *image.shape[1:])
    if image.dtype != torch.uint8:
        values = np.nan_to_num(image.float().numpy())
        if values.size and (values.min() < 0 or values.max() > 1):
            low, high = np.percentile(values, (1, 99))
            values = (values - low) / max(high - low, 1e-12)
        image = torch.from_numpy((values.clip(0, 1) * 255).round().astype(np.uint8))
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def boundaries(mask: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """True at pixels whose right or lower neighbour belongs to another class."""
    edge = np.zeros(mask.shape, dtype=bool)
    edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edge[:-1] |= mask[:-1] != mask[1:]
    return edge


def overlay(
    image: UInt8[np.ndarray, "h w 3"], mask: Int[np.ndarray, "h w"], colors: Sequence[Color], alpha: float = 0.55
) -> UInt8[np.ndarray, "h w 3"]:
    """Lays the colours of a mask's classes over an image, borders of regions in full colour.

    Pixels without a class (negative) and classes whose colour is black (background) are left untouched.
    """
    table = np.array([*colors, (0, 0, 0)], dtype=np.float32)  # a mask of -1 finds the last row: black
    known = np.clip(mask, -1, len(colors) - 1)
    paint = table[known]
    visible = np.any(table, axis=1)[known]
    strength = np.where(boundaries(mask), 1.0, alpha).astype(np.float32) * visible
    return (image + (paint - image) * strength[..., None]).round().astype(np.uint8)


def legend(names: Sequence[str], colors: Sequence[Color], width: int) -> UInt8[np.ndarray, "h width 3"]:
    """A strip with one swatch and name for each class, broken into as many lines as the width asks for."""
    line = _FONT_PX + 6
    places, x, y = [], 0, 0
    for name in names:
        needed = _text_width(name) + line + _GAP
        if x and x + needed > width:
            x, y = 0, y + line
        places.append((x, y))
        x += needed
    strip = Image.new("RGB", (width, y + line if names else 0), _PAPER)
    draw = ImageDraw.Draw(strip)
    for (left, top), name, color in zip(places, names, colors, strict=True):
        draw.rectangle((left, top + 3, left + _FONT_PX - 2, top + _FONT_PX + 1), fill=tuple(color), outline=_INK)
        draw.text((left + line - 2, top + 1), name, fill=_INK, font=_font())
    return np.asarray(strip)


def side_by_side(
    panels: Mapping[str, UInt8[np.ndarray, "h w 3"]],
    names: Sequence[str] = (),
    colors: Sequence[Color] = (),
) -> UInt8[np.ndarray, "height width 3"]:
    """Panels in a row, each under its caption, with a legend of the classes below."""
    widths = [max(panel.shape[1], _text_width(caption)) for caption, panel in panels.items()]
    width = sum(widths) + _GAP * (len(panels) + 1)
    key = legend(names, colors, width - 2 * _GAP)
    top = _FONT_PX + 2 * _GAP
    bottom = top + max(panel.shape[0] for panel in panels.values()) + _GAP
    height = bottom + (key.shape[0] + _GAP if key.shape[0] else 0)
    page = Image.new("RGB", (width, height), _PAPER)
    draw, left = ImageDraw.Draw(page), _GAP
    for (caption, panel), column in zip(panels.items(), widths, strict=True):
        draw.text((left, _GAP), caption, fill=_INK, font=_font())
        page.paste(Image.fromarray(panel), (left, top))
        left += column + _GAP
    if key.shape[0]:
        page.paste(Image.fromarray(key), (_GAP, bottom))
    return np.asarray(page)


def stacked(pages: Sequence[UInt8[np.ndarray, "h w 3"]]) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures in one column on white."""
    width = max(page.shape[1] for page in pages)
    rows = [np.pad(page, ((0, 0), (0, width - page.shape[1]), (0, 0)), constant_values=_PAPER[0]) for page in pages]
    return np.concatenate(rows)


def fit(picture: np.ndarray, small_px: int = 256, large_px: int = 1024) -> np.ndarray:
    """Enlarges a small picture or mask, or thins out a large one, by a whole number; no value is mixed."""
    longest = max(picture.shape[:2])
    times, every = max(1, small_px // longest), -(-longest // large_px)
    return picture[::every, ::every].repeat(times, 0).repeat(times, 1)


@lru_cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_PX)


def _text_width(text: str) -> int:
    return int(np.ceil(_font().getlength(text)))


def _oklab(rgb: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """sRGB in 0..255 to OKLab, in which equal distances look equally different."""
    value = rgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_cones = [
        [0.41222147, 0.53633254, 0.05144599],
        [0.2119035, 0.6806995, 0.10739696],
        [0.08830246, 0.28171884, 0.6299787],
    ]
    to_lab = [
        [0.21045426, 0.79361778, -0.00407205],
        [1.97799850, -2.42859221, 0.45059371],
        [0.02590404, 0.78277177, -0.80867577],
    ]
    return np.cbrt(linear @ np.array(to_cones).T) @ np.array(to_lab).T


def matrix(
    values: Float[np.ndarray, "k k"], names: Sequence[str], title: str, cell_px: int = 84
) -> UInt8[np.ndarray, "h w 3"]:
    """Numbers in -1..1 as a table of colours: blue above 0, orange below; NaN stays white."""
    left = max(map(_text_width, names), default=0) + 2 * _GAP
    top = 2 * (_FONT_PX + 2 * _GAP)
    width = max(left + cell_px * len(names), _text_width(title) + _GAP) + _GAP
    page = Image.new("RGB", (width, top + cell_px // 2 * len(names) + _GAP), _PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((_GAP, _GAP), title, fill=_INK, font=_font())
    for row, name in enumerate(names):
        y = top + row * cell_px // 2
        pen.text((_GAP, y + cell_px // 4 - _FONT_PX // 2), name, fill=_INK, font=_font())
        pen.text((left + row * cell_px + 2, top - _FONT_PX - 4), name, fill=_INK, font=_font())
        for column, value in enumerate(values[row]):
            box = (left + column * cell_px, y, left + (column + 1) * cell_px - 2, y + cell_px // 2 - 2)
            if np.isfinite(value):
                pure = np.array((0, 114, 178) if value > 0 else (213, 94, 0))
                color = (255 + (pure - 255) * min(1.0, abs(float(value)))).round().astype(int)
                pen.rectangle(box, fill=tuple(color.tolist()))
                ink = _PAPER if abs(value) > 0.6 else _INK
                place = (box[0] + cell_px // 4, y + cell_px // 4 - _FONT_PX // 2)
                pen.text(place, f"{value:+.2f}", fill=ink, font=_font())
    return np.asarray(page)
