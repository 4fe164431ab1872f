"""Ordered tree edit distance of tables, exact (Zhang and Shasha 1989), with costs of contents computed once each."""

import numba
import numpy as np
from jaxtyping import Float64, Int32
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from visionkit.metrics.teds.tree import Names, Tree

_Array = np.ndarray


def tree_distance(first: Tree, second: Tree, names: Names, structure_only: bool = False) -> float:
    """Least cost of insertions and deletions (1 each) and renamings that turn one tree into the other.

    To rename costs 1 where labels differ; of two ``td`` it is the Levenshtein distance of their contents over the
    longer one's length; else nothing. With ``structure_only`` contents are all empty.
    """
    same = first.labels == second.labels and first.leftmost == second.leftmost
    if same and (structure_only or first.contents == second.contents):
        return 0.0
    sides = []
    for tree in (first, second):
        contents = [-1] * len(tree.labels) if structure_only else tree.contents
        distinct, places = np.unique(np.array(contents, np.int32), return_inverse=True)
        arrays = (np.array(tree.labels, np.int32), np.array(tree.leftmost, np.int32), places.astype(np.int32))
        sides.append((*arrays, distinct))
    (labels_1, left_1, places_1, distinct_1), (labels_2, left_2, places_2, distinct_2) = sides
    costs = content_costs(distinct_1, distinct_2, list(names.contents))
    return float(_distance(labels_1, left_1, places_1, labels_2, left_2, places_2, costs))


def content_costs(first: Int32[_Array, " m"], second: Int32[_Array, " n"], texts: list[str]) -> Float64[_Array, "m n"]:
    """Cost of renaming each content of one tree to each of the other; 0 where one is none (-1)."""
    sides = [["" if number < 0 else texts[number] for number in numbers] for numbers in (first, second)]
    edits = cdist(sides[0], sides[1], scorer=Levenshtein.distance, dtype=np.int32)
    lengths = [np.array([len(text) for text in side], np.int32) for side in sides]
    costs = edits / np.maximum(np.maximum.outer(*lengths), 1)
    costs[first < 0] = 0
    costs[:, second < 0] = 0
    return costs


def steps(first: Tree, second: Tree, names: Names) -> float:
    """How many elementary steps a comparison takes: cells of forests, and words of 64 bits of contents."""
    texts = list(names.contents)
    forests, characters = 1.0, 1.0
    for tree in (first, second):
        roots = {left: place for place, left in enumerate(tree.leftmost)}
        forests *= sum(place - left + 2 for left, place in roots.items())
        characters *= sum(len(texts[number]) for number in set(tree.contents) if number >= 0)
    return forests + characters / 64


@numba.njit(cache=True, nogil=True)
def _keyroots(leftmost):  # type: ignore[no-untyped-def]
    """For each leftmost leaf the last node above it, ascending."""
    seen = np.zeros(len(leftmost), dtype=np.bool_)
    roots = []
    for node in range(len(leftmost) - 1, -1, -1):
        if not seen[leftmost[node]]:
            seen[leftmost[node]] = True
            roots.append(node)
    return roots[::-1]


@numba.njit(cache=True, nogil=True)
def _distance(labels_1, left_1, places_1, labels_2, left_2, places_2, costs):  # type: ignore[no-untyped-def]
    """Distances of all pairs of subtrees, those below first; the last one is that of the trees."""
    n_1, n_2 = len(labels_1), len(labels_2)
    rename = np.empty((n_1, n_2))
    for i in range(n_1):
        for j in range(n_2):
            rename[i, j] = costs[places_1[i], places_2[j]] if labels_1[i] == labels_2[j] else 1.0
    trees = np.empty((n_1, n_2))
    forests = np.empty((n_1 + 1, n_2 + 1))
    roots_2 = _keyroots(left_2)
    for root_1 in _keyroots(left_1):
        for root_2 in roots_2:
            _forests(root_1, root_2, left_1, left_2, rename, trees, forests)
    return trees[n_1 - 1, n_2 - 1]


@numba.njit(cache=True, nogil=True)
def _forests(root_1, root_2, left_1, left_2, rename, trees, forests):  # type: ignore[no-untyped-def]
    """Fills ``trees`` for the nodes on the left edges of two subtrees.

    ``forests[x, y]`` is the distance of the first x and the first y nodes below the roots.
    """
    first_1, first_2 = left_1[root_1], left_2[root_2]
    rows, columns = root_1 - first_1 + 1, root_2 - first_2 + 1
    for y in range(columns + 1):
        forests[0, y] = y
    for x in range(1, rows + 1):
        node_1 = first_1 + x - 1
        above, here = forests[x - 1], forests[x]
        before, subtrees, cost = forests[left_1[node_1] - first_1], trees[node_1], rename[node_1]
        whole = left_1[node_1] == first_1
        here[0] = last = float(x)
        for y in range(1, columns + 1):
            node_2 = first_2 + y - 1
            left = left_2[node_2]
            best = min(above[y], last) + 1.0
            if whole and left == first_2:
                last = min(best, above[y - 1] + cost[node_2])
                subtrees[node_2] = last
            else:
                last = min(best, before[left - first_2] + subtrees[node_2])
            here[y] = last
