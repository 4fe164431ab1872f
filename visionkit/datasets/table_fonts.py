"""Fonts for rendered tables: those found on the machine, else Pillow's own, else the strokes of OpenCV."""

import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import ImageFont, features

_FOLDERS = {
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": (os.path.join(os.environ.get("WINDIR", "C:/Windows"), "Fonts"),),
}
_FAMILIES = {
    "sans": ("DejaVuSans", "LiberationSans-Regular", "Arial", "arial", "NotoSans-Regular", "OpenSans-Regular"),
    "narrow": ("DejaVuSansCondensed", "LiberationSansNarrow-Regular", "Arial Narrow", "ARIALN"),
    "serif": ("DejaVuSerif", "LiberationSerif-Regular", "Times New Roman", "times", "NotoSerif-Regular"),
    "narrow serif": ("DejaVuSerifCondensed",),
    "mono": ("DejaVuSansMono", "LiberationMono-Regular", "Courier New", "cour", "NotoSansMono-Regular"),
}
"""Files of the regular style, without ending, that may show each family."""
_STYLES = {
    "bold": ("-Bold", " Bold", "bd", "b"),
    "italic": ("-Oblique", "-Italic", " Italic", "i"),
}


class Ink(NamedTuple):
    """A text as it is drawn, cut to what is seen: how dark each pixel is, where the first is from pen and baseline."""

    mask: UInt8[np.ndarray, "h w"]
    left: int
    top: int

    @classmethod
    def of(cls, mask: UInt8[np.ndarray, "h w"], left: int, top: int) -> "Ink":
        """Cuts empty rows and columns off."""
        x, y, width, height = cv2.boundingRect(mask) if mask.size else (0, 0, 0, 0)
        return cls(mask[y : y + height, x : x + width], left + x, top + y)


class Font(Protocol):
    """Draws text of one family, style and size."""

    def width(self, text: str) -> float:
        """How far the pen moves, in pixels."""

    def ink(self, text: str) -> Ink:
        """The pixels of a text."""


class FileFont:
    """A TrueType font."""

    def __init__(self, font: ImageFont.FreeTypeFont) -> None:
        self._font = font
        # Words come again and again.
        self.width = lru_cache(maxsize=2048)(font.getlength)
        self.ink = lru_cache(maxsize=512)(self._ink)

    def _ink(self, text: str) -> Ink:
        mask, (left, top) = self._font.getmask2(text, "L", anchor="ls")
        width, height = mask.size
        return Ink.of(np.frombuffer(bytes(mask), np.uint8).reshape(height, width), int(left), int(top))


class StrokeFont:
    """OpenCV's font of strokes, for machines without any other; ASCII alone.

    Args:
        size_px: of the font, as of TrueType.
        serif, bold: its style; there is no italic.
    """

    def __init__(self, size_px: int, serif: bool = False, bold: bool = False) -> None:
        self._face = cv2.FONT_HERSHEY_COMPLEX_SMALL if serif else cv2.FONT_HERSHEY_SIMPLEX
        self._scale = size_px / (26 if serif else 30)
        self._thickness = 2 if bold else 1

    def width(self, text: str) -> float:
        """How far the pen moves, in pixels."""
        return cv2.getTextSize(text, self._face, self._scale, self._thickness)[0][0]

    def ink(self, text: str) -> Ink:
        """The pixels of a text."""
        (width, height), below = cv2.getTextSize(text, self._face, self._scale, self._thickness)
        margin = self._thickness + 1
        plane = np.zeros((height + below + 2 * margin, width + 2 * margin), np.uint8)
        cv2.putText(plane, text, (margin, height + margin), self._face, self._scale, 255, self._thickness, cv2.LINE_AA)
        return Ink.of(plane, -margin, -height - margin)


@lru_cache(maxsize=8)
def families(folder: str | None = None) -> tuple[str, ...]:
    """Names of the families that this machine has, at least one."""
    found = _files(folder)
    return tuple(name for name in _FAMILIES if _regular(name, found)) or ("default",)


@lru_cache(maxsize=256)
def font(family: str, style: str, size_px: int, folder: str | None = None) -> Font:
    """A font of a family in the style ``""``, bold or italic; the regular one where it has no such style."""
    found = _files(folder)
    regular = _regular(family, found)
    if not features.check("freetype2"):
        return StrokeFont(size_px, "serif" in family, style == "bold")
    if regular is None:
        return FileFont(ImageFont.load_default(size_px))  # type: ignore[arg-type]
    stem = regular.removesuffix("-Regular")
    names = [f"{stem}{end}" for end in _STYLES.get(style, ())]
    name = next((name for name in names if name in found), regular)
    return FileFont(ImageFont.truetype(found[name], size_px, layout_engine=ImageFont.Layout.BASIC))


def _regular(family: str, found: dict[str, str]) -> str | None:
    return next((name for name in _FAMILIES.get(family, ()) if name in found), None)


@lru_cache(maxsize=8)
def _files(folder: str | None) -> dict[str, str]:
    """Path of each font by the file's name without ending."""
    places: Sequence[str] = (folder,) if folder else _FOLDERS.get(sys.platform, _FOLDERS["linux"])
    found: dict[str, str] = {}
    for place in places:
        for path in sorted(Path(place).expanduser().rglob("*.[to]t[fc]")):
            found.setdefault(path.stem, str(path))
    return found
