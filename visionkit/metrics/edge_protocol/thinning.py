"""Thinning of binary maps to lines one pixel wide, as MATLAB's ``bwmorph(map, "thin", Inf)`` (Guo and Hall 1989)."""

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from numba import njit

_AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""Neighbours from the east, counter-clockwise: bit k of a neighbourhood says whether the k-th is set."""


class GrowingLines:
    """A map that pixels are only added to, thinned again after each addition.

    Args:
        shape: height and width.
        pixels: flat indices, in the order in which they will be added.
    """

    def __init__(self, shape: tuple[int, int], pixels: Int64[np.ndarray, " n"]) -> None:
        stride = shape[1] + 2
        self._places = (pixels // shape[1] + 1) * stride + pixels % shape[1] + 1
        self._steps = np.array([down * stride + across for down, across in _AROUND])
        self._around = np.zeros((shape[0] + 2) * stride, np.uint8)
        self._count = 0

    def thinned(self, count: int) -> Bool[np.ndarray, " count"]:
        """Which of the first ``count`` pixels are left of a map that holds these; ``count`` never falls."""
        _join(self._around, self._places[self._count : count], self._steps)
        self._count = count
        return _peel(self._around.copy(), self._places[:count], self._steps, _REMOVABLE)


def thin(lines: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The map without the pixels that thinning takes away, until nothing changes."""
    pixels = np.flatnonzero(lines)
    left = np.zeros(lines.size, np.bool_)
    left[pixels] = GrowingLines(lines.shape, pixels).thinned(len(pixels))
    return left.reshape(lines.shape)


def _removable(second: bool) -> Bool[np.ndarray, "256"]:
    """For each neighbourhood whether one of the two halves of a pass removes the pixel in its middle (G1, G2, G3)."""
    x = [(np.arange(256) >> bit & 1).astype(bool) for bit in range(8)]
    x += x[:1]
    sides = range(0, 8, 2)
    crossings = sum((~x[k] & (x[k + 1] | x[k + 2])).astype(int) for k in sides)
    pairs = [sum((x[k + first] | x[k + first + 1]).astype(int) for k in sides) for first in (0, 1)]
    fewest = np.minimum(*pairs)
    kept_side = (x[5] | x[6] | ~x[3]) & x[4] if second else (x[1] | x[2] | ~x[7]) & x[0]
    return (crossings == 1) & (fewest >= 2) & (fewest <= 3) & ~kept_side


_REMOVABLE = np.stack([_removable(False), _removable(True)])


@njit(cache=True, nogil=True)
def _join(around: UInt8[np.ndarray, " padded"], places: Int64[np.ndarray, " n"], steps: Int64[np.ndarray, "8"]) -> None:
    """Tells the neighbours of new pixels that these are set."""
    for place in places:
        for k in range(8):
            around[place + steps[k]] |= np.uint8(1 << (k + 4) % 8)


@njit(cache=True, nogil=True)
def _peel(
    around: UInt8[np.ndarray, " padded"],
    places: Int64[np.ndarray, " n"],
    steps: Int64[np.ndarray, "8"],
    removable: Bool[np.ndarray, "2 256"],
) -> Bool[np.ndarray, " n"]:
    """Removes in passes of two halves, each of which decides about all pixels before it removes any."""
    left = np.ones(len(places), np.bool_)
    alive, doomed = np.arange(len(places)), np.empty(len(places), np.int64)
    living, changed = len(places), True
    while changed:
        changed = False
        for half in range(2):
            kept, removed = 0, 0
            for i in range(living):
                index = alive[i]
                if removable[half, around[places[index]]]:
                    doomed[removed] = index
                    removed += 1
                else:
                    alive[kept] = index
                    kept += 1
            living = kept
            for i in range(removed):
                left[doomed[i]] = False
                for k in range(8):
                    around[places[doomed[i]] + steps[k]] &= np.uint8(255 - (1 << (k + 4) % 8))
            changed |= removed > 0
    return left
