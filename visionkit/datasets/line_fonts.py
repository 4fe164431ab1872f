"""Fonts that text is drawn with: TrueType and OpenType files, and the faces that OpenCV holds."""

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont, features

from visionkit.errors import ConfigError

EM_PX = 40
"""Size in which text is drawn before it is distorted and scaled."""
_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.fonts",
    "~/.local/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    "C:/Windows/Fonts",
)
_ENDINGS = (".ttf", ".otf", ".ttc")
_MISSING = "\U0010fffd"
"""A code point for private use, for which a font draws what it draws for any character that it lacks."""


class Font(Protocol):
    """Draws text on black ground."""

    def covers(self, text: str) -> bool:
        """Whether it has every character."""

    def draw(self, text: str) -> UInt8[np.ndarray, "h w"]:
        """Coverage of each pixel by ink, 0..255, in as much space as the text takes."""


class TrueType:
    """A font file, drawn with its own shaping where Pillow has Raqm, so that scripts from the right come out right.

    Args:
        path: of the file.

    Raises OSError for a file that is no font.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.font = ImageFont.truetype(str(path), EM_PX)
        self._lacks = self._glyph(_MISSING)
        self._known: dict[str, bool] = {" ": True}

    def covers(self, text: str) -> bool:
        """Whether the font has a glyph for every character."""
        for character in set(text) - self._known.keys():
            self._known[character] = self._glyph(character) != self._lacks
        return all(self._known[character] for character in text)

    def draw(self, text: str) -> UInt8[np.ndarray, "h w"]:
        """Ink of a text, 0..255, in the font's full height."""
        left, top, right, bottom = (int(edge) for edge in self.font.getbbox(text, anchor="ls"))
        top, bottom = min(top, -int(0.75 * EM_PX)), max(bottom, int(0.2 * EM_PX))
        image = Image.new("L", (max(1, right - left), bottom - top))
        ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=self.font, anchor="ls")
        return np.array(image)

    def _glyph(self, character: str) -> tuple[tuple[int, int], bytes]:
        left, top, right, bottom = (int(edge) for edge in self.font.getbbox(character, anchor="ls"))
        image = Image.new("L", (max(1, right - left), max(1, bottom - top)))
        ImageDraw.Draw(image).text((-left, -top), character, fill=255, font=self.font, anchor="ls")
        return image.size, image.tobytes()


class BuiltIn:
    """A face that OpenCV holds: strokes that Hershey drew for plotters (1967) up to OpenCV 4, a sans serif since 5.

    Args:
        face: of OpenCV, such as ``cv2.FONT_HERSHEY_SCRIPT_SIMPLEX``.
        thickness: of the strokes in pixels.
    """

    def __init__(self, face: int, thickness: int = 2) -> None:
        self.face, self.thickness = face, thickness
        self.scale = cv2.getFontScaleFromHeight(face, int(0.6 * EM_PX), thickness)

    def covers(self, text: str) -> bool:
        """Whether all is printable ASCII."""
        return text.isascii() and text.isprintable()

    def draw(self, text: str) -> UInt8[np.ndarray, "h w"]:
        """Ink of a text, 0..255."""
        (width, height), below = cv2.getTextSize(text, self.face, self.scale, self.thickness)
        margin = EM_PX // 4  # strokes of script reach beyond the box
        ink = np.zeros((height + below + margin, max(1, width) + 2 * margin), dtype=np.uint8)
        place = (margin, height + margin // 2)
        return cv2.putText(ink, text, place, self.face, self.scale, 255, self.thickness, cv2.LINE_AA)


BUILT_IN: tuple[Font, ...] = tuple(
    BuiltIn(face, thickness)
    for face in (cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX, cv2.FONT_HERSHEY_SIMPLEX)
    for thickness in (1, 2)
)
"""Faces for text in ASCII, which need no file."""


def find_fonts(folder: str | Path | None = None) -> tuple[TrueType, ...]:
    """Fonts in a folder and all folders in it, or in the usual folders of the system, in the order of their names.

    Raises ConfigError C189 where a folder was given and holds none.
    """
    found = _fonts_in(tuple([str(folder)] if folder is not None else _FOLDERS))
    if folder is not None and not found:
        fix = f"put {' '.join(_ENDINGS)} there, or set it to null"
        raise ConfigError("C189", f"dataset.layout.fonts={folder}", "holds no fonts that can be read", fix)
    return found


@lru_cache(maxsize=8)
def _fonts_in(folders: tuple[str, ...]) -> tuple[TrueType, ...]:
    paths = sorted({path for folder in folders for path in _files(Path(folder).expanduser())})
    return tuple(font for path in paths if (font := _open(path)) is not None)


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.lower().endswith(_ENDINGS))


def _open(path: Path) -> TrueType | None:
    try:
        return TrueType(path)
    except (OSError, ValueError):  # bitmaps, variable fonts without outlines, damaged files: there are others
        return None


def usable(fonts: Sequence[Font], characters: str) -> list[Font]:
    """Fonts that have all these characters.

    Raises ConfigError C189 where no font has them all, or Pillow cannot lay out a script that is read from the right.
    """
    fitting = [font for font in fonts if font.covers(characters)]
    if not fitting:
        missing = [one for one in characters if not any(font.covers(one) for font in fonts)]
        what = f"none of {len(fonts)} fonts has all characters ({' '.join(missing[:20]) or 'each lacks others'})"
        raise ConfigError("C189", "dataset.layout.fonts", what, "name a folder with fonts that have them")
    if not features.check("raqm") and any("\u0590" <= one <= "\u08ff" for one in characters):
        fix = "install a Pillow with Raqm, as its wheels have"
        raise ConfigError("C189", "dataset.layout.fonts", "this Pillow cannot lay out text from the right", fix)
    return fitting
