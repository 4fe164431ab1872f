"""Augmentation of text lines as transforms of albumentations: slant, warp, ink, paper.

What comes in at the sides is more of the same paper: it stays valid, and masks take their nearest pixel there.
All choices come from the generator of the composition that a transform is part of.
"""

from typing import Any

import cv2
import numpy as np
from albumentations import DualTransform, ImageOnlyTransform
from albumentations.core.pydantic import NonNegativeFloatRangeType, SymmetricRangeType
from albumentations.core.transforms_interface import BaseTransformInitSchema
from albumentations.core.type_definitions import Targets

from visionkit.datasets.line_render import grain, smooth_noise, thickened

_SPACE = (Targets.IMAGE, Targets.MASK)
_Range = tuple[float, float] | float


class Slant(DualTransform):
    """Leans a line to one side; the picture becomes so much wider that nothing is cut off.

    Args:
        slant: range of the shift along the line, in heights over the whole height; to the right above 0.
        p: share of lines that are changed.
    """

    _targets = _SPACE

    class InitSchema(BaseTransformInitSchema):
        """Checked arguments."""

        slant: SymmetricRangeType

    def __init__(self, slant: _Range = (-0.3, 0.3), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.slant = slant

    def get_params(self) -> dict[str, Any]:
        """How much."""
        return {"lean": self.py_random.uniform(*self.slant)}  # type: ignore[misc]

    def apply(self, img: np.ndarray, lean: float, **params: Any) -> np.ndarray:
        """Filled up with the picture's median, which is the paper."""
        paper = np.median(img.reshape(-1, img.shape[2] if img.ndim == 3 else 1), axis=0)
        return _leaning(img, lean, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT, paper.tolist())

    def apply_to_mask(self, mask: np.ndarray, lean: float, **params: Any) -> np.ndarray:
        """Codes stay what they are."""
        return _leaning(mask, lean, cv2.INTER_NEAREST, cv2.BORDER_REPLICATE, [0])


class Warp(DualTransform):
    """Moves every place a little, near places alike: letters grow uneven and the base line drifts.

    Args:
        shift: range of the largest shift, in heights of the picture.
        step: over which distance the shift changes, in heights of the picture.
        p: share of lines that are changed.
    """

    _targets = _SPACE

    class InitSchema(BaseTransformInitSchema):
        """Checked arguments."""

        shift: NonNegativeFloatRangeType
        step: float

    def __init__(self, shift: _Range = (0.0, 0.06), step: float = 0.5, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.shift, self.step = shift, step

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Where each pixel comes from."""
        height, width = params["shape"][:2]
        reach = np.float32(self.py_random.uniform(*self.shift) * height)  # type: ignore[misc]
        noise = [smooth_noise(self.random_generator, height, width, self.step * height) * reach for _ in range(2)]
        x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
        return {"x": x + noise[0], "y": y + noise[1]}

    def apply(self, img: np.ndarray, x: np.ndarray, y: np.ndarray, **params: Any) -> np.ndarray:
        """Bilinear."""
        return _remapped(img, x, y, cv2.INTER_LINEAR)

    def apply_to_mask(self, mask: np.ndarray, x: np.ndarray, y: np.ndarray, **params: Any) -> np.ndarray:
        """Codes stay what they are."""
        return _remapped(mask, x, y, cv2.INTER_NEAREST)


class Ink(ImageOnlyTransform):
    """Strokes that are dark on bright thicker or thinner, by parts of a pixel.

    Args:
        amount: range of the change, thicker above 0, in -1..1 (a pixel on each side).
        p: share of lines that are changed.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checked arguments."""

        amount: SymmetricRangeType

    def __init__(self, amount: _Range = (-0.5, 0.5), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.amount = amount

    def get_params(self) -> dict[str, Any]:
        """How much."""
        return {"more": self.py_random.uniform(*self.amount)}  # type: ignore[misc]

    def apply(self, img: np.ndarray, more: float, **params: Any) -> np.ndarray:
        """Dark ink is what is missing of the brightness."""
        return (255 - thickened(255 - img, more)).reshape(img.shape)


class Paper(ImageOnlyTransform):
    """Uneven brightness and grain, as of old paper and poor light.

    Args:
        stains: range of the slow changes, as a share of the brightness.
        grain: range of the quick changes, as a share of the brightness.
        p: share of lines that are changed.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checked arguments."""

        stains: NonNegativeFloatRangeType
        grain: NonNegativeFloatRangeType

    def __init__(self, stains: _Range = (0.0, 0.25), grain: _Range = (0.0, 0.08), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.stains, self.grain = stains, grain

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Brightness of each pixel."""
        height, width = params["shape"][:2]
        stains, grains = (self.py_random.uniform(*limits) for limits in (self.stains, self.grain))  # type: ignore[misc]
        light = 1 - np.float32(stains) * (0.5 + 0.5 * smooth_noise(self.random_generator, height, width, 1.5 * height))
        return {"light": light + np.float32(grains) * grain(self.random_generator, height, width)}

    def apply(self, img: np.ndarray, light: np.ndarray, **params: Any) -> np.ndarray:
        """Within 0..255."""
        return np.clip(img * (light[..., None] if img.ndim == 3 else light), 0, 255).astype(np.uint8)


def _leaning(image: np.ndarray, lean: float, how: int, border: int, fill: list[float]) -> np.ndarray:
    height, width = image.shape[:2]
    more = round(abs(lean) * (height - 1))
    matrix = np.array([[1, -lean, max(0.0, lean * (height - 1))], [0, 1, 0]], dtype=np.float64)
    size = (width + more, height)
    planes = [
        cv2.warpAffine(plane, matrix, size, flags=how, borderMode=border, borderValue=fill[index % len(fill)])
        for index, plane in enumerate(_planes(image))
    ]
    return planes[0] if image.ndim == 2 else np.stack(planes, axis=2)


def _remapped(image: np.ndarray, x: np.ndarray, y: np.ndarray, how: int) -> np.ndarray:
    planes = [cv2.remap(plane, x, y, how, borderMode=cv2.BORDER_REPLICATE) for plane in _planes(image)]
    return planes[0] if image.ndim == 2 else np.stack(planes, axis=2)


def _planes(image: np.ndarray) -> list[np.ndarray]:
    """One by one, since OpenCV takes four channels at most."""
    return [image] if image.ndim == 2 else [np.ascontiguousarray(image[..., index]) for index in range(image.shape[2])]
