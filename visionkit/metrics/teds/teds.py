"""TEDS and TEDS-Struct: similarity of two tables by the edit distance of their HTML trees (Zhong et al. 2020).

The values are those of the published implementation, to the bit but for the order of sums, wherever that gives one.
"""

import math
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import NamedTuple

from visionkit.metrics.teds.distance import steps, tree_distance
from visionkit.metrics.teds.tree import Names, TooManyTags, Tree, parse, tree_of

_STEPS_A_SECOND = 1e8


@dataclass(frozen=True)
class Limits:
    """What a single comparison may take. Beyond it there is no score, never another one.

    Attributes:
        nodes: of either tree; 4000 need about 400 MB.
        seconds: about; by the number of steps, so that the same pairs are scored on every machine.
    """

    nodes: int = 4000
    seconds: float = 60.0


class Score(NamedTuple):
    """Similarities of one pair, NaN where ``refused`` says why they were not computed.

    Attributes:
        teds, struct: with the cells' contents, and without.
        complex: whether the true table has a cell that spans several rows or columns.
    """

    teds: float
    struct: float
    complex: bool = False
    refused: str = ""


def teds(
    prediction: str,
    truth: str,
    structure_only: bool = False,
    ignore: Collection[str] = (),
    limits: Limits | None = None,
) -> float:
    """1 - distance / nodes of the larger table; it can be negative.

    0 where a page is empty or has no ``body/table``, 1 where both tables have no elements at all. Only ``td`` have
    content; inline tags inside cells count as nodes but are compared as parts of the content; whitespace counts.

    Args:
        prediction, truth: pages of HTML; of several tables the first counts.
        structure_only: TEDS-Struct: contents are taken for empty.
        ignore: tags such as ``b`` that are taken away while their text stays.
        limits: NaN is returned beyond them.
    """
    found = _trees(prediction, truth, ignore)
    if found is None:
        return 0.0
    if _refused(found, limits or Limits()):
        return math.nan
    return _similarity(found, structure_only)


def score(prediction: str, truth: str, ignore: Collection[str] = (), limits: Limits | None = None) -> Score:
    """TEDS and TEDS-Struct of one pair, and what kind of table the true one is."""
    try:
        found = _trees(prediction, truth, ignore)
    except TooManyTags as error:
        return Score(math.nan, math.nan, refused=str(error))
    if found is None:
        return Score(0.0, 0.0, _is_complex(truth))
    if why := _refused(found, limits or Limits()):
        return Score(math.nan, math.nan, found.truth.complex, why)
    return Score(_similarity(found, False), _similarity(found, True), found.truth.complex)


def scores(
    predictions: Sequence[str],
    truths: Sequence[str],
    ignore: Collection[str] = (),
    limits: Limits | None = None,
    workers: int = 0,
) -> list[Score]:
    """``score`` of many pairs in their order; with ``workers`` in so many processes, which stay for the next call."""
    one = partial(score, ignore=tuple(ignore), limits=limits)
    if len(predictions) != len(truths):
        raise ValueError(f"{len(predictions)} predictions of {len(truths)} tables")
    if workers < 2 or len(truths) < 2:
        return [one(*pair) for pair in zip(predictions, truths, strict=True)]
    chunk = max(1, min(16, len(truths) // (4 * workers)))
    return list(_pool(workers).map(one, predictions, truths, chunksize=chunk))


class _Pair(NamedTuple):
    prediction: Tree
    truth: Tree
    names: Names


def _trees(prediction: str, truth: str, ignore: Collection[str]) -> _Pair | None:
    if not prediction or not truth:
        return None
    tables = [parse(page, ignore) for page in (prediction, truth)]
    if tables[0] is None or tables[1] is None:
        return None
    names = Names()
    return _Pair(tree_of(tables[0], names), tree_of(tables[1], names), names)


def _similarity(pair: _Pair, structure_only: bool) -> float:
    nodes = max(pair.prediction.nodes, pair.truth.nodes)
    distance = tree_distance(pair.prediction, pair.truth, pair.names, structure_only)
    return 1.0 - distance / nodes if nodes else 1.0


def _refused(pair: _Pair, limits: Limits) -> str:
    larger = max(len(pair.prediction.labels), len(pair.truth.labels))
    if larger > limits.nodes:
        return f"a tree has {larger} nodes, more than {limits.nodes}"
    if _worst(pair) <= limits.seconds * _STEPS_A_SECOND:
        return ""
    seconds = steps(pair.prediction, pair.truth, pair.names) / _STEPS_A_SECOND
    return f"it would take about {seconds:.0f} s, more than {limits.seconds:g}" if seconds > limits.seconds else ""


def _worst(pair: _Pair) -> float:
    """More steps than trees of any form take."""
    characters = sum(map(len, pair.names.contents))
    return float(len(pair.prediction.labels) * len(pair.truth.labels)) ** 2 + characters**2 / 64 + 1


def _is_complex(truth: str) -> bool:
    table = parse(truth) if truth else None
    return table is not None and tree_of(table, Names()).complex


@lru_cache(maxsize=2)
def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
