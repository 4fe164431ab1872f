"""What the benchmark counts in one picture at each threshold."""

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8

from visionkit.metrics.edge_protocol.matching import Matching
from visionkit.metrics.edge_protocol.thinning import GrowingLines

Counts = Int64[np.ndarray, "t 4"]
"""For thresholds 1/(t+1) to t/(t+1): drawn pixels that are matched, drawn pixels, found pixels that are matched, found
pixels. Drawn pixels are summed over the annotators; a found pixel counts once if any annotator's drawing matches it."""


def eight_bits(probability: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """The probability as a picture file holds it, 0 to 255."""
    return np.rint(np.clip(probability, 0, 1) * 255).astype(np.uint8)


def threshold_counts(
    found: UInt8[np.ndarray, "h w"],
    drawn: Bool[np.ndarray, "a h w"],
    known: Bool[np.ndarray, "h w"],
    tolerance: float,
    thresholds: int = 99,
    thinned: bool = True,
) -> Counts:
    """Counts of a picture (Martin, Fowlkes and Malik 2004; as in the toolbox of Dollar and Zitnick 2015).

    Args:
        found: 255 times the probability of an edge.
        drawn: one map for each annotator, False also where unknown.
        known: where any annotator knows the truth; elsewhere nothing counts as found.
        tolerance: largest distance of a pair as a share of the diagonal.
        thresholds: how many.
        thinned: whether the map is thinned at each threshold.
    """
    # In whole numbers: found / 255 >= k / (thresholds + 1).
    levels = np.minimum(found.ravel().astype(np.int64) * (thresholds + 1) // 255, thresholds)
    pixels = np.flatnonzero(levels)
    pixels = pixels[np.argsort(-levels[pixels], kind="stable")]
    counts_from = np.searchsorted(-levels[pixels], -np.arange(1, thresholds + 1), side="right")
    lines = GrowingLines(found.shape, pixels)
    matching = Matching(pixels, drawn, tolerance * float(np.hypot(*found.shape)))
    counts = np.zeros((thresholds, 4), np.int64)
    counts[:, 1] = drawn.sum()
    relevant, present = known.ravel()[pixels], np.zeros(len(pixels), np.bool_)
    for threshold in reversed(range(thresholds)):
        count = int(counts_from[threshold])
        now, before = relevant[:count], present[:count]
        if thinned:
            now = now & lines.thinned(count)
        pairs, right = matching.change(np.flatnonzero(before & ~now), np.flatnonzero(now & ~before))
        present[:count] = now
        counts[threshold] = pairs, counts[threshold, 1], right, now.sum()
    return counts
