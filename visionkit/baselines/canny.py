"""Canny's detector as a map of probabilities: what edge detection reaches without learning."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int16, UInt8
from torch import Tensor, from_numpy

_LEVELS = 100
_SOBEL = 8
"""What OpenCV's 3x3 Sobel gives for a slope of one grey value a pixel."""
_STEPS = 8
"""Steps to a grey value in which slopes are kept: the steepest then just fits into the 16 bits that Canny takes."""


@dataclass(frozen=True)
class Canny:
    """OpenCV's Canny (Canny 1986) of the blurred picture at 99 thresholds, put into one map.

    A pixel has the value (k + 0.5)/100 where the highest upper threshold at which it is an edge is ``top * (k/100)^2``.
    So the map cut at k/100, even in 8 bits, is Canny's own binary result at that threshold, and the protocol's 99
    thresholds mean something.

    Args:
        sigma_px: deviation of the Gaussian that blurs first.
        top: upper threshold of level 100, in grey values a pixel.
        low: lower threshold of the hysteresis as a share of the upper.
    """

    sigma_px: float = 2.5
    top: float = 50.0
    low: float = 0.5

    def __call__(self, image: UInt8[Tensor, "c h w"]) -> Float[Tensor, "h w"]:
        """Edges between 0 and 0.995; colour becomes grey by the mean of the channels."""
        grey = image.float().mean(0).numpy()
        edges = np.zeros_like(grey)
        if min(grey.shape) > 1:  # OpenCV's Canny looks at both sides of a pixel
            smooth = cv2.GaussianBlur(grey, (0, 0), self.sigma_px, borderType=cv2.BORDER_REPLICATE)
            across, down = _slope(smooth, 1, 0), _slope(smooth, 0, 1)
            for level in range(1, _LEVELS):
                upper = self.top * (level / _LEVELS) ** 2 * _SOBEL * _STEPS
                found = cv2.Canny(across, down, self.low * upper, upper, L2gradient=True)
                edges[found > 0] = (level + 0.5) / _LEVELS
        return from_numpy(edges)


def _slope(smooth: Float[np.ndarray, "h w"], across: int, down: int) -> Int16[np.ndarray, "h w"]:
    slope = cv2.Sobel(smooth, cv2.CV_32F, across, down, ksize=3, borderType=cv2.BORDER_REPLICATE)
    return (slope * _STEPS).round().astype(np.int16)
