"""Distortion of drawn text: as a hand, or a camera, would have changed it."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

Size = tuple[int, int]
"""Height and width in pixels."""
_NARROW, _WIDE = frozenset("fijlrtI1.,;:!'|()[] "), frozenset("mwMW@%")
_LOW, _BELOW = frozenset("acemnorsuvwxz"), frozenset("gpqy")


def trimmed(ink: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h_ w_"]:
    """Without the columns and rows at the sides that hold no ink; as it is where there is none."""
    rows, columns = np.flatnonzero(ink.max(1)), np.flatnonzero(ink.max(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else ink


def smooth_noise(rng: np.random.Generator, height: int, width: int, step_px: float) -> Float32[np.ndarray, "h w"]:
    """Values about -1..1 that change over ``step_px`` pixels."""
    rows, columns = max(2, round(height / step_px) + 1), max(2, round(width / step_px) + 1)
    coarse = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def grain(rng: np.random.Generator, height: int, width: int) -> Float32[np.ndarray, "h w"]:
    """Values in -1..1 that know nothing of each other; from plain bytes, which is ten times as fast as normal ones."""
    return np.frombuffer(rng.bytes(height * width), dtype=np.int8).reshape(height, width) * np.float32(1 / 128)


def natural_ratio(text: str) -> float:
    """Width of a text's ink over its height, about as most fonts have it."""
    units = sum(0.5 if one in _NARROW else 1.5 if one in _WIDE else 1.25 if one.isupper() else 1 for one in text)
    low = all(one in _LOW or one in _BELOW for one in text)
    height = 0.55 + 0.2 * (not low) + 0.2 * any(one in _BELOW for one in text)
    return 0.55 * max(1.0, units) / height


def handwritten(
    ink: UInt8[np.ndarray, "h w"], rng: np.random.Generator, size: Size, strength: float = 1.0
) -> UInt8[np.ndarray, "height width"]:
    """Text as if written by hand, with random margins: slant, drift of the line, uneven letters.

    Args:
        ink: text without margins.
        rng: source of all choices.
        size: height and width of the result in pixels.
        strength: of the distortion; 0 only scales.
    """
    height, width = size
    above, below = rng.uniform(0.05, 0.16, 2) * height
    before, after = rng.uniform(0.02, 0.14, 2) * min(height, width)
    slant = float(np.clip(strength * rng.uniform(-0.25, 0.55), -0.25 * width / height, 0.25 * width / height))
    lean = abs(slant) * height
    scale_x, scale_y = (width - before - after - lean) / ink.shape[1], (height - above - below) / ink.shape[0]
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    reach = np.float32(strength * height)
    spacing, drift, swelling = (smooth_noise(rng, 1, width, step * height) for step in (0.8, 2.5, 1.2))
    bend_x, bend_y = (smooth_noise(rng, height, width, height / 2.5) for _ in range(2))
    across = x - before - lean * (slant > 0) + slant * y + reach * (0.04 * spacing + 0.03 * bend_x)
    middle = np.float32(height / 2)
    down = (y - middle) * (1 + 0.14 * strength * swelling) + middle - above + reach * (0.05 * drift + 0.03 * bend_y)
    return _sampled(ink, across / scale_x, down / scale_y, scale_y)


def photographed(
    ink: UInt8[np.ndarray, "h w"], rng: np.random.Generator, size: Size, strength: float = 1.0
) -> UInt8[np.ndarray, "height width"]:
    """Text as a camera sees it: turned, in perspective, perhaps on an arc; arguments as of ``handwritten``."""
    height, width = size
    above, below = rng.uniform(0.03, 0.22, 2) * height
    before, after = rng.uniform(0.03, 0.22, 2) * min(height, width)
    scale_x, scale_y = (width - before - after) / ink.shape[1], (height - above - below) / ink.shape[0]
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    across, down = (x - before) / np.float32(scale_x), (y - above) / np.float32(scale_y)
    u = x / max(1, width - 1) * 2 - 1
    tilt, arc, taper = (strength * rng.normal(0, spread) for spread in (0.08, 0.06, 0.08))
    rise = np.float32(height / scale_y) * (tilt * u + arc * (1 - u**2) - 0.5 * arc)
    middle = np.float32(ink.shape[0] / 2)
    down = (down - middle) * (1 + taper * u + abs(arc) + abs(tilt)) + middle + rise
    across = across + np.float32(strength * rng.normal(0, 0.12)) * (down - middle)
    return _sampled(ink, across, down, scale_y)


def thickened(ink: UInt8[np.ndarray, "h w"], amount: float) -> UInt8[np.ndarray, "h w"]:
    """Strokes thicker (``amount`` above 0) or thinner (below) by at most a pixel on each side, in -1..1."""
    kernel = np.ones((3, 3), dtype=np.uint8)
    changed = cv2.dilate(ink, kernel) if amount > 0 else cv2.erode(ink, kernel)
    share = min(1.0, abs(amount))
    return cv2.addWeighted(changed, share, ink, 1 - share, 0)


def _sampled(
    ink: UInt8[np.ndarray, "h w"],
    x: Float32[np.ndarray, "height w_"],
    y: Float32[np.ndarray, "height w_"],
    scale: float,
) -> UInt8[np.ndarray, "height w_"]:
    """Ink at places of the drawing; ink that was reduced is blurred before, so that thin strokes do not break."""
    if scale < 0.8:
        ink = cv2.GaussianBlur(ink, (0, 0), 0.35 / scale)
    x, y = (np.ascontiguousarray(axis, dtype=np.float32) for axis in np.broadcast_arrays(x, y))
    return cv2.remap(ink, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
