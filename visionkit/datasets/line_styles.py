"""Styles of generated lines: ink on paper, and lettering in the street."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from visionkit.datasets.line_render import Size, grain, handwritten, photographed, smooth_noise, thickened, trimmed

Ink = UInt8[np.ndarray, "h w"]
Picture = UInt8[np.ndarray, "h w c"]
Color = Float32[np.ndarray, "c"]
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Handwriting:
    """Uneven, slanted writing with a pen on paper, some of it binarised as scans often are.

    Args:
        strength: of the distortion.
        binarised: share of lines that are black and white.
    """

    def __init__(self, strength: float = 1.0, binarised: float = 0.25) -> None:
        self.strength, self.binarised = strength, binarised

    def __call__(self, ink: Ink, rng: np.random.Generator, size: Size, channels: int) -> Picture:
        """A picture of this size, height and width in pixels."""
        coverage = handwritten(trimmed(ink), rng, size, self.strength) if ink.any() else np.zeros(size, np.uint8)
        coverage = thickened(coverage, rng.uniform(-0.5, 0.9) * size[0] / (size[0] + 16))
        if rng.random() < self.binarised:
            white = (coverage < rng.uniform(70, 150)).astype(np.uint8) * np.uint8(255)
            return white[..., None].repeat(channels, axis=2)
        return self._on_paper(_blurred(coverage, rng.uniform(-0.6, 1.0)), rng, channels)

    def _on_paper(self, coverage: Ink, rng: np.random.Generator, channels: int) -> Picture:
        height, width = coverage.shape
        tint = 255 - rng.uniform(0, 1, 3) * (8, 18, 40) * rng.random()
        color = rng.uniform(0, 110) * rng.uniform(0.5, 1.0, 3) * (1, 1, rng.uniform(1, 1.6))
        shade = 1 + np.float32(0.06) * smooth_noise(rng, height, width, 3 * height)
        shade += np.float32(rng.uniform(0, 0.06)) * grain(rng, height, width)
        shade *= np.float32(rng.uniform(0.72, 1.0))
        flow = 1 - np.float32(rng.uniform(0, 0.5)) * (0.5 + 0.5 * smooth_noise(rng, height, width, 0.6 * height))
        share = coverage * flow
        return _mixed([shade * one for one in _channels(tint, channels)], _channels(color, channels), share)


class Lettering:
    """Words as cameras see them in the street and on screens: coloured, lit unevenly, turned, out of focus.

    Args:
        strength: of the distortion.
    """

    def __init__(self, strength: float = 1.0) -> None:
        self.strength = strength

    def __call__(self, ink: Ink, rng: np.random.Generator, size: Size, channels: int) -> Picture:
        """A picture of this size, height and width in pixels."""
        height, width = size
        coverage = photographed(trimmed(ink), rng, size, self.strength) if ink.any() else np.zeros(size, np.uint8)
        near = _color(rng)
        far = near + (_color(rng) - near) * rng.uniform(0, 0.35)
        tone = 0.5 + 0.5 * smooth_noise(rng, height, width, rng.uniform(0.5, 4) * height)
        light = 1 + np.float32(0.2) * smooth_noise(rng, height, width, 2 * height)
        noise = np.float32(max(0, rng.uniform(-12, 20))) * grain(rng, height, width)
        ends = zip(_channels(near, channels), _channels(far, channels), strict=True)
        planes = [(first + (last - first) * tone) * light + noise for first, last in ends]
        kind = rng.random()
        if kind < 0.2:  # an outline
            thick = cv2.dilate(coverage, np.ones((3, 3), dtype=np.uint8), iterations=max(1, height // 32))
            planes = _layers(planes, _channels(_contrasting((near + far) / 2, rng), channels), thick)
        elif kind < 0.35:  # a shadow
            shift = max(1, height // 16)
            planes = _layers(planes, _channels(near * 0.3, channels), np.roll(coverage, (shift, shift), (0, 1)))
        picture = _mixed(planes, _channels(_contrasting((near + far) / 2, rng), channels), coverage)
        return _blurred(picture, rng.uniform(-0.8, 1.4) * height / 32)


def _color(rng: np.random.Generator) -> Color:
    """Red, green and blue in 0..255, more often dull than bright as most things are."""
    color = rng.uniform(0, 255, 3)
    return (color + (color @ _LUMA - color) * rng.random()).astype(np.float32)


def _contrasting(ground: Color, rng: np.random.Generator) -> Color:
    """A colour that differs from the ground by a quarter of full brightness at least."""
    while True:
        color = _color(rng)
        if abs(float((color - ground) @ _LUMA)) > 64:
            return color


def _channels(color: np.ndarray, channels: int) -> Color:
    """A colour, or its brightness alone."""
    color = color.astype(np.float32)
    return color if channels == 3 else (color @ _LUMA)[None]


def _layers(planes: list[np.ndarray], color: Color, coverage: np.ndarray) -> list[np.ndarray]:
    """Planes h w with a colour laid over them where there is ink, 0..255."""
    share = coverage * np.float32(1 / 255)
    return [plane + (one - plane) * share for plane, one in zip(planes, color, strict=True)]


def _mixed(planes: list[np.ndarray], color: Color, coverage: np.ndarray) -> Picture:
    return np.stack([np.clip(plane, 0, 255) for plane in _layers(planes, color, coverage)], axis=2).astype(np.uint8)


def _blurred(picture: np.ndarray, sigma_px: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma_px).reshape(picture.shape) if sigma_px > 0.25 else picture
