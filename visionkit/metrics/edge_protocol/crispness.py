"""Average crispness: how much of the probability lies on lines one pixel wide (Ye et al. 2023)."""

import math

import numpy as np
from jaxtyping import Float64

from visionkit.metrics.edge_protocol.nms import Suppression

_RIDGES = Suppression(radius=2)


def crispness(probability: Float64[np.ndarray, "h w"]) -> float:
    """Share of the probability that non-maximum suppression keeps, 1 for lines one pixel wide; NaN where all is 0."""
    total = float(probability.sum())
    return float(_RIDGES(probability).sum()) / total if total > 0 else math.nan
