"""One-to-one matching of found with drawn pixels at least cost, kept up to date while found pixels come and go.

A pair costs its distance, a found pixel without a partner ``fee``, which is so large that no pair is given up for
nearness. That is the assignment problem of the Berkeley benchmark (Martin, Fowlkes and Malik 2004). Each pixel has a
price: the prices of two pixels never exceed the cost of their pair and equal it where they are paired; the price of a
found pixel never exceeds the fee, that of a drawn one never 0, and they equal it where the pixel has no partner.
Prices that fulfil this prove that no matching is cheaper, and a change of one pixel is repaired nearby.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64
from numba import njit

from visionkit.metrics.edge_protocol.pairs import UNIT, Pairs, candidates

_OUTLIER = 100
"""How many times the largest distance a found pixel without a partner costs."""
_LOW = (1 << 32) - 1
_helper = njit(nogil=True)


class Side(NamedTuple):
    """The pixels of one side. Those near pixel ``i`` are ``near[starts[i]:starts[i + 1]]`` of the other side."""

    starts: Int32[np.ndarray, " n_plus_1"]
    near: Int32[np.ndarray, " e"]
    costs: Int32[np.ndarray, " e"]
    prices: Int64[np.ndarray, " n"]
    partners: Int32[np.ndarray, " n"]
    """-1 where there is none."""
    present: Bool[np.ndarray, " n"]
    fee: int
    """What a pixel without a partner costs."""


class Workspace(NamedTuple):
    """What a search writes into; ``distances`` and ``parents`` hold where ``seen`` is the number of the search."""

    distances: Int64[np.ndarray, " n"]
    parents: Int32[np.ndarray, " n"]
    seen: Int64[np.ndarray, " n"]
    visited: Int32[np.ndarray, " n"]
    heap: Int64[np.ndarray, " h"]
    """Its length comes first."""
    search: Int64[np.ndarray, "1"]


class Matching:
    """Pixels found at falling thresholds, matched with the drawing of each annotator on its own.

    Args:
        pixels: flat indices of all pixels that will ever be found.
        drawn: one map for each annotator.
        reach_px: largest distance of a pair.
    """

    def __init__(self, pixels: Int64[np.ndarray, " n"], drawn: Bool[np.ndarray, "a h w"], reach_px: float) -> None:
        by_found, by_drawn = candidates(pixels, drawn, reach_px)
        fee = max(1, int(np.ceil(_OUTLIER * reach_px * UNIT)))
        self._drawn, self._found = _side(by_drawn, True, 0), _side(by_found, False, fee)
        most = max(len(self._found.prices), len(self._drawn.prices))
        self._work = Workspace(
            np.empty(most, np.int64),
            np.empty(most, np.int32),
            np.zeros(most, np.int64),
            np.empty(most, np.int32),
            np.zeros(len(by_drawn.near) + 2, np.int64),
            np.zeros(1, np.int64),
        )
        self._partners_of = np.zeros(len(pixels), np.int32)
        self._counts = np.zeros(2, np.int64)

    def change(self, gone: Int64[np.ndarray, " g"], new: Int64[np.ndarray, " m"]) -> tuple[int, int]:
        """Takes found pixels away and adds others, by their place in ``pixels``.

        Returns:
            The number of pairs over all annotators, and that of found pixels with a partner in any drawing.
        """
        _change(self._found, self._drawn, self._work, gone, new, self._partners_of, self._counts)
        return int(self._counts[0]), int(self._counts[1])

    @property
    def matched(self) -> Bool[np.ndarray, " n"]:
        """The found pixels with a partner in any drawing."""
        return self._partners_of > 0

    @property
    def cost(self) -> int:
        """Hundredths of pixels of all pairs and the fee of every found pixel that has no partner."""
        found = self._found
        rows = np.flatnonzero(found.present)
        listed = np.repeat(np.arange(len(found.prices)), np.diff(found.starts))
        paired = found.near == found.partners[listed]
        return int(found.costs[paired].sum() + found.fee * (found.partners[rows] < 0).sum())


def _side(pairs: Pairs, present: bool, fee: int) -> Side:
    count = len(pairs.starts) - 1
    prices, partners = np.zeros(count, np.int64), np.full(count, -1, np.int32)
    return Side(*pairs, prices, partners, np.full(count, present, np.bool_), fee)


@njit(cache=True, nogil=True)
def _change(found, drawn, work, gone, new, partners_of, counts):
    """Removes and inserts in every annotator's matching; keeps ``partners_of`` each found pixel and both counts."""
    pixels = len(partners_of)
    for first in range(0, len(found.prices), max(1, pixels)):
        for pixel in gone:
            row = first + pixel
            found.present[row] = False
            partner = found.partners[row]
            if partner >= 0:
                found.partners[row], drawn.partners[partner] = -1, -1
                _lose(pixel, partners_of, counts)
                _, taken = _settle(np.int64(partner), drawn, found, work)
                if taken >= 0:
                    _gain(taken % pixels, partners_of, counts)
        for pixel in new:
            row = first + pixel
            found.present[row] = True
            if found.starts[row] == found.starts[row + 1]:
                continue
            price = found.fee
            for edge in range(found.starts[row], found.starts[row + 1]):
                price = min(price, found.costs[edge] - drawn.prices[found.near[edge]])
            found.prices[row] = price
            freed, _ = _settle(row, found, drawn, work)
            if freed != row:
                _gain(pixel, partners_of, counts)
                if freed >= 0:
                    _lose(freed % pixels, partners_of, counts)


@_helper
def _gain(pixel, partners_of, counts):
    counts[0] += 1
    counts[1] += partners_of[pixel] == 0
    partners_of[pixel] += 1


@_helper
def _lose(pixel, partners_of, counts):
    counts[0] -= 1
    partners_of[pixel] -= 1
    counts[1] -= partners_of[pixel] == 0


@_helper
def _settle(start, own, other, work):
    """Finds the cheapest place for a pixel without partner whose price is below the fee (Dijkstra).

    The path ends at a pixel of the other side without partner, or where a pixel of the own side is left without.
    Distances are costs less both prices, so none is negative.

    Returns:
        The pixel of the own side that is without partner in the end, and that of the other side which found one;
        -1 for none.
    """
    work.search[0] += 1
    best, freed, taken = own.fee - own.prices[start], start, -1
    visited, pixel, spent = 0, start, 0
    work.heap[0] = 0
    while best:
        for edge in range(own.starts[pixel], own.starts[pixel + 1]):
            next_pixel = own.near[edge]
            if not other.present[next_pixel]:
                continue
            distance = spent + own.costs[edge] - own.prices[pixel] - other.prices[next_pixel]
            known = work.seen[next_pixel] == work.search[0]
            if distance >= best or (known and distance >= work.distances[next_pixel]):
                continue
            work.seen[next_pixel] = work.search[0]
            work.distances[next_pixel], work.parents[next_pixel] = distance, pixel
            if other.partners[next_pixel] < 0:
                best, freed, taken = distance, -1, next_pixel
            else:
                _push(work.heap, distance << 32 | next_pixel)
        while work.heap[0]:
            entry = _pop(work.heap)
            spent, next_pixel = entry >> 32, entry & _LOW
            if spent >= best or spent == work.distances[next_pixel]:
                break
        else:
            break
        if spent >= best:
            break
        work.visited[visited] = next_pixel
        visited += 1
        pixel = other.partners[next_pixel]
        if spent + own.fee - own.prices[pixel] < best:
            best, freed, taken = spent + own.fee - own.prices[pixel], pixel, -1
    own.prices[start] += best
    for i in range(visited):
        next_pixel = work.visited[i]
        saved = best - work.distances[next_pixel]
        other.prices[next_pixel] -= saved
        own.prices[other.partners[next_pixel]] += saved
    _pair_along(start, freed, taken, own, other, work)
    return freed, taken


@_helper
def _pair_along(start, freed, taken, own, other, work):
    """Gives each pixel of the own side on the path the partner of the next one."""
    if freed == start:
        return
    next_pixel = taken
    if taken < 0:
        next_pixel = own.partners[freed]
        own.partners[freed] = -1
    while True:
        pixel = work.parents[next_pixel]
        before = own.partners[pixel]
        own.partners[pixel], other.partners[next_pixel] = next_pixel, pixel
        if pixel == start:
            return
        next_pixel = before


@_helper
def _push(heap, entry):
    heap[0] += 1
    place = heap[0]
    while place > 1 and heap[place >> 1] > entry:
        heap[place] = heap[place >> 1]
        place >>= 1
    heap[place] = entry


@_helper
def _pop(heap):
    """The least entry; the others move up."""
    least, last, size = heap[1], heap[heap[0]], heap[0] - 1
    place, child = 1, 2
    while child <= size:
        if child < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= last:
            break
        heap[place] = heap[child]
        place, child = child, 2 * child
    heap[place], heap[0] = last, size
    return least
