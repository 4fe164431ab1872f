"""Which lines of a run's history belong in one chart."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from visionkit.reports.charts import Point

Curves = dict[str, dict[str, list[Point]]]
_STAGES = ("train", "val", "test")
_OF_EPOCH = ", mean of the epoch"
COLORS = {"train": 0, "val": 1, f"train{_OF_EPOCH}": 2}
"""The same colour for the same stage in every chart."""
_NOT_CURVES = {"step", "epoch", "time_s"}


def main_curves(history: Sequence[Mapping[str, Any]]) -> Curves:
    """Losses and figures of the tasks, by what they measure; train and val share a chart. Test has no curve.

    Lightning logs one value of a step and its mean over the epoch as ``<name>_step`` and ``<name>_epoch``: they
    are lines of one chart. Values of single classes (``val/<task>/<metric>/<class>``) are left to the bars.
    """
    curves: Curves = {}
    for key, points in _lines(history).items():
        stage, _, name = key.partition("/")
        base, kind = _without_suffix(name)
        if stage in ("train", "val") and (base == "loss" or base.count("/") == 1):
            curves.setdefault(base.replace("/", " / "), {})[f"{stage}{kind}"] = points
    order = sorted(curves, key=lambda title: title != "loss")
    return {title: curves[title] for title in order}


def other_curves(history: Sequence[Mapping[str, Any]]) -> Curves:
    """Everything that belongs to no task: speed, memory, learning rate.

    The rate is logged as ``lr-<optimizer>/pg1``, ``pg2`` ... for groups of parameters, which share one schedule: the
    first stands for all.
    """
    curves: Curves = {}
    for key, points in _lines(history).items():
        stage, _, name = key.partition("/")
        name = name if stage in _STAGES else key.partition("/pg")[0]
        if "/" not in name and _without_suffix(name)[0] != "loss":
            curves.setdefault(name.replace("_", " "), {stage if stage in _STAGES else name: points})
    return curves


def _lines(history: Sequence[Mapping[str, Any]]) -> dict[str, list[Point]]:
    lines: dict[str, list[Point]] = {}
    for row in history:
        for key, value in row.items():
            if key not in _NOT_CURVES and isinstance(value, int | float):
                lines.setdefault(key, []).append((float(row.get("step", math.nan)), float(value)))
    return lines


def _without_suffix(name: str) -> tuple[str, str]:
    for suffix, words in (("_step", ""), ("_epoch", _OF_EPOCH)):
        if name.endswith(suffix):
            return name.removesuffix(suffix), words
    return name, ""
