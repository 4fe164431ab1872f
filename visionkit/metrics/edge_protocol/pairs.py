"""Which found and which drawn pixels are near enough to be paired, listed for the pixels of either side."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64
from scipy.sparse import csr_array

UNIT = 100
"""Costs are whole numbers: hundredths of a pixel."""
_AT_ONCE = 2**20
"""Places that are looked at together: in a large picture all of them would not fit into memory."""


class Pairs(NamedTuple):
    """The pairs of pixel ``i`` are those from ``starts[i]`` up to ``starts[i + 1]``."""

    starts: Int32[np.ndarray, " n_plus_1"]
    near: Int32[np.ndarray, " e"]
    """The other pixel."""
    costs: Int32[np.ndarray, " e"]


def candidates(
    pixels: Int64[np.ndarray, " n"], drawn: Bool[np.ndarray, "a h w"], reach_px: float
) -> tuple[Pairs, Pairs]:
    """The pairs of each found pixel, once for each annotator (annotators first), and of each drawn pixel.

    Args:
        pixels: flat indices of what is found.
        drawn: one map for each annotator; drawn pixels are numbered as they lie in memory.
        reach_px: largest distance of a pair.
    """
    offsets, costs = neighbourhood(reach_px)
    margin = int(np.ceil(reach_px))
    width = drawn.shape[2] + 2 * margin
    places = (pixels // drawn.shape[2] + margin) * width + pixels % drawn.shape[2] + margin
    index = np.full((drawn.shape[1] + 2 * margin) * width, -1, np.int32)
    index[places] = np.arange(len(pixels), dtype=np.int32)
    annotators, down, across = np.nonzero(drawn)
    counts, nearby, paid = _listed(index, (down + margin) * width + across + margin, offsets @ [width, 1], costs)
    rows = nearby + np.repeat((annotators * len(pixels)).astype(np.int32), counts)
    starts = np.concatenate([[0], counts.cumsum()]).astype(np.int32)
    by_drawn = csr_array((paid, rows, starts), shape=(len(annotators), len(pixels) * len(drawn)))
    by_found = by_drawn.tocsc()
    return Pairs(by_found.indptr, by_found.indices, by_found.data), Pairs(starts, rows, paid)


def _listed(
    index: Int32[np.ndarray, " padded"],
    centres: Int64[np.ndarray, " m"],
    steps: Int64[np.ndarray, " k"],
    costs: Int32[np.ndarray, " k"],
) -> tuple[Int64[np.ndarray, " m"], Int32[np.ndarray, " e"], Int32[np.ndarray, " e"]]:
    """For each centre the number of pixels around it, then of all of these their numbers and what they cost."""
    parts = []
    for own in np.array_split(centres, len(centres) * len(steps) // _AT_ONCE + 1):
        nearby = index[own[:, None] + steps]
        taken = nearby >= 0
        parts.append((taken.sum(1), nearby[taken], np.broadcast_to(costs, taken.shape)[taken]))
    counts, pixels, paid = (np.concatenate(part) for part in zip(*parts, strict=True))
    return counts, pixels, paid


def neighbourhood(reach_px: float) -> tuple[Int64[np.ndarray, "k 2"], Int32[np.ndarray, " k"]]:
    """Steps down and across to everything within reach, and what a pair that far apart costs."""
    side = np.arange(-int(np.ceil(reach_px)), int(np.ceil(reach_px)) + 1)
    offsets = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    squares = (offsets**2).sum(1)
    within = squares <= reach_px**2
    return offsets[within], np.rint(np.sqrt(squares[within]) * UNIT).astype(np.int32)
