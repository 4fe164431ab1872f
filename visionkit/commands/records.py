"""What run folders hold of themselves: what was typed, the configuration, the costs, the figures of the test."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import glob
from json import loads
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from visionkit.errors import ConfigError, UnsafeFileError, nearest
from visionkit.run_config import load_config
from visionkit.runs import COMMAND_FILE, COSTS_FILE

_MEND = "restore it, or leave this run out"
_COUNTS = ("parameters", "trained_parameters", "steps", "timed_steps", "processes", "earlier_runs")
_NUMBERS = (*_COUNTS, "macs", "step_time_s", "images_per_second", "peak_memory_b")


@dataclass(frozen=True)
class Record:
    """One run; what it has not (yet) written is empty."""

    folder: Path
    config: DictConfig
    command: dict[str, Any]
    """``overrides``, ``choices`` and ``sweeps`` (``visionkit.runs.save_command``)."""
    costs: dict[str, Any]
    """``visionkit.callbacks.costs.Costs``."""
    evaluation: dict[str, Any]
    """``checkpoint``, ``step``, ``changes`` and ``metrics`` of the test split."""
    classes: list[list[str]]
    """Names of the classes of each kind of target."""

    scores: dict[str, dict[str, float]]
    """Of each task the score of every sample of the test split, larger is better; empty where none were kept."""

    def figure(self, task: str, metric: str) -> float | None:
        """A figure on the test split, ``miou`` or that of a class, ``iou/road``; None where there is none."""
        figures = self.evaluation.get("metrics", {}).get(task, {})
        name, _, label = metric.partition("/")
        value = figures.get(name)
        if label and isinstance(value, list):
            lists = [names for names in self.classes if len(names) == len(value) and label in names]
            value = value[lists[0].index(label)] if lists else None
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    def monitors(self) -> dict[str, tuple[str, str | None]]:
        """Of each task: the metric that its checkpoints are compared by, and whether ``min`` or ``max`` is best."""
        tasks = self.config.get("tasks") or {}
        found = {str(task): OmegaConf.select(node, "monitor") for task, node in tasks.items()}
        return {task: (str(node.metric), str(node.mode)) for task, node in found.items() if node is not None}


def read_record(folder: Path) -> Record:
    """Reads a run folder.

    Raises:
        ConfigError: C08 it is none, C34 its configuration is damaged.
        UnsafeFileError: U30 a file is no JSON object, U31 it holds something else than it should.
    """
    costs, evaluation = folder / COSTS_FILE, folder / "evaluation" / "test" / "metrics.json"
    kinds = [kind for kind in _load(folder / "labels.json").values() if isinstance(kind, dict)]
    record = Record(
        folder,
        load_config(folder),
        _load(folder / COMMAND_FILE),
        _load(costs),
        _load(evaluation),
        [list(map(str, kind["names"])) for kind in kinds if "names" in kind],
        _scores(evaluation.with_name("scores.json")),
    )
    wrong = [key for key in _NUMBERS if not isinstance(record.costs.get(key), int | float | None)]
    if wrong:
        raise UnsafeFileError("U31", costs, f"{wrong[0]!r} is no number", _MEND)
    metrics = record.evaluation.get("metrics", {})
    if not isinstance(metrics, dict) or not all(isinstance(own, dict) for own in metrics.values()):
        raise UnsafeFileError("U31", evaluation, "'metrics' does not hold figures by task", _MEND)
    return record


def find_runs(places: Iterable[str]) -> list[Path]:
    """Run folders, each once, that paths, patterns, folders of runs and folders of sweeps mean.

    Raises:
        ConfigError: C08 one of them means none.
    """
    found = {run.resolve(): run for place in places for run in _meant(place)}
    return list(found.values())


def _meant(place: str) -> list[Path]:
    paths = [Path(place)] if Path(place).exists() else [Path(path) for path in sorted(glob(place, recursive=True))]
    runs = [run for path in paths for run in _below(path)]
    if not runs:
        others = [str(config.parent) for config in sorted(Path("runs").glob("*/config.yaml"))] or ["runs/NAME"]
        raise ConfigError("C08", place, "is no run folder and holds none", nearest(place, others))
    return runs


def _below(path: Path) -> Iterator[Path]:
    if (path / "config.yaml").is_file():  # what lies deeper, such as W&B's files, is no run
        yield path
    elif (path / "multirun.yaml").is_file():
        yield from _of_sweep(path)
    elif path.is_dir():
        for child in sorted(path.iterdir()):
            yield from _below(child)


def _of_sweep(path: Path) -> Iterator[Path]:
    """The runs of a sweep lie in ``runs``, beside those of other commands; its own folder is ``runs/multirun/TIME``.

    With ``hydra.sweep.dir=`` it is elsewhere, and then the runs are those of the current folder.
    """
    places = {(path / ".." / "..").resolve(), Path("runs").resolve()}
    for file in sorted(file for place in places for file in place.glob(f"*/{COMMAND_FILE}")):
        if path.resolve().name in {Path(str(sweep)).name for sweep in _load(file).get("sweeps") or ()}:
            yield file.parent.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file.parent


def _scores(path: Path) -> dict[str, dict[str, float]]:
    scores = _load(path)
    for own in scores.values():
        if not isinstance(own, dict) or not all(isinstance(value, int | float) for value in own.values()):
            raise UnsafeFileError("U31", path, "does not hold scores by task and sample", _MEND)
    return scores


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UnsafeFileError("U30", path, "is no JSON object", _MEND)
    return content
