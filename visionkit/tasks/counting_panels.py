"""Pictures of counting: image, density over it, and the points, beside each other."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from visionkit import drawing
from visionkit.layers.points import inside
from visionkit.layers.valid import real_size
from visionkit.types import Sample

_DOT: drawing.Color = (240, 60, 40)
_SMOOTH_PX = 3.0
_FAINT = 0.002  # objects a pixel; a single one has about 0.01 in its middle


def row(sample: Sample, density: Float[Tensor, "h w"] | None, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """Image, density with its sum, and points with their number; the padding is cut off."""
    size = real_size(sample["valid"]) if "valid" in sample else tuple(sample["image"].shape[1:])
    image = drawing.fit(drawing.to_uint8_rgb(sample["image"][:, : size[0], : size[1]]))
    panels = {"image": image}
    if density is not None:
        found = density.detach().cpu().double()[: size[0], : size[1]]
        panels[f"found: {float(found.sum()):.1f} {name}"] = _heat(image, found)
    if "points" in sample:
        points = sample["points"].detach().cpu()
        points = points[inside(points, size)]
        panels[f"truth: {len(points)} {name}"] = _dots(image, points.numpy(), size)
    return drawing.side_by_side(panels)


def _heat(image: UInt8[np.ndarray, "h w 3"], density: Float[Tensor, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Density in colour over a darker image; the brightest is its 99.9th percentile, but no less than _FAINT."""
    smooth = cv2.GaussianBlur(density.clamp(min=0).numpy(), (0, 0), _SMOOTH_PX)
    strength = (smooth / max(float(np.percentile(smooth, 99.9)), _FAINT)).clip(0, 1)
    strength = cv2.resize(strength, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    color = cv2.applyColorMap((strength * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    mixed = image * (0.5 * (1 - strength))[..., None] + color * (0.5 + 0.5 * strength)[..., None]
    return mixed.clip(0, 255).astype(np.uint8)


def _dots(
    image: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "n 2"], size: tuple[int, ...]
) -> UInt8[np.ndarray, "h w 3"]:
    """A dot on each point over a paler image."""
    pale = np.ascontiguousarray((255 - (255 - image) * 0.6).astype(np.uint8))
    factors = np.array([image.shape[1] / size[1], image.shape[0] / size[0]])
    for x, y in np.floor(points * factors).astype(int).tolist():
        cv2.circle(pale, (x, y), max(1, round(max(image.shape[:2]) / 400)), _DOT, -1)
    return pale
