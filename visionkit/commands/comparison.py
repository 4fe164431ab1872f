"""Runs side by side: what they differ in, their figures on the test split, and what they cost."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from visionkit.commands.delta import Scores, baseline, delta_m, remarks
from visionkit.commands.records import Record
from visionkit.errors import ConfigError, nearest

Value = str | float | int | None
_PRIVATE = {"run", "resume", "logger", "workers", "test", "export", "onnx"}
"""Settings that say nothing of the model or of its training."""
_UNSCORED = "no scores.json, so it is the single run of no task"


@dataclass(frozen=True)
class Column:
    """One fact of every run."""

    key: str
    """What ``--sort`` takes, and the name in CSV and JSON: SI units, bytes."""
    title: str
    """What a person reads, with the unit of ``show``."""
    values: list[Value]
    show: Callable[[Any], str] = str
    mode: str | None = None
    """``min`` or ``max`` where one end is best."""
    shown: bool = True
    """Whether it belongs in the table that a person reads."""
    numeric: bool = True

    def cells(self) -> list[str]:
        """Text of each row; a dash where there is nothing."""
        return ["-" if value is None else self.show(value) for value in self.values]

    def best(self) -> set[int]:
        """Rows with the best value; none where no end is best, or where there is nothing to compare."""
        known = [value for value in self.values if value is not None]
        if self.mode is None or len(known) < 2:
            return set()
        top = (max if self.mode == "max" else min)(known)  # type: ignore[type-var]
        return {row for row, value in enumerate(self.values) if value == top}


@dataclass(frozen=True)
class Comparison:
    """A row for each run, a column for each fact, and a line for each run that lacks some."""

    columns: list[Column]
    notes: list[str]


def compare(
    records: Sequence[Record],
    wanted: Sequence[str] = (),
    sort: str | None = None,
    singles: Sequence[Record] = (),
) -> Comparison:
    """Puts runs side by side.

    Args:
        records: the runs.
        singles: runs of one task each, against which delta-m is computed (``visionkit.commands.delta``).
        wanted: metrics, ``miou`` or ``segmentation/miou``; those that checkpoints are compared by where empty.
        sort: key of the column that gives the order: best or least first, runs without a value last.

    Raises:
        ConfigError: C67 there is no such metric or column, C238 two singles of one task.
    """
    chosen = _metrics(records, wanted)
    names = Column("run", "run", [str(record.folder) for record in records], numeric=False)
    alone = baseline((str(single.folder), single.scores) for single in singles)
    gains = _gains(records, alone) if singles else []
    facts = [*_differences(records), *_figures(records, chosen), *gains, *_costs(records)]
    columns = [names, *facts]
    said = {record.folder: list(_lacks(record, chosen)) for record in records}
    for record in records if singles else ():
        said[record.folder] += remarks(record.scores, alone)
    notes = [f"{folder}: {'; '.join(own)}" for folder, own in said.items() if own]
    notes += [f"{single.folder}: {_UNSCORED} ({_evaluated(single)})" for single in singles if not single.scores]
    return Comparison(columns if sort is None else _sorted(columns, sort), notes)


def _metrics(records: Sequence[Record], wanted: Sequence[str]) -> list[tuple[str, str]]:
    monitored = {(task, metric): None for record in records for task, (metric, _) in record.monitors().items()}
    if not wanted:
        return list(monitored)
    known = [
        (task, metric)
        for record in records
        for task, figures in record.evaluation.get("metrics", {}).items()
        for metric in _names(record, figures)
    ]
    known = list(dict.fromkeys([*monitored, *known]))
    found: list[tuple[str, str]] = []
    for name in wanted:
        pairs = [(task, metric) for task, metric in known if name in (metric, f"{task}/{metric}")]
        if not pairs:
            choices = {metric for _, metric in known}
            raise ConfigError("C67", f"--metric {name}", "is a metric of none of these runs", nearest(name, choices))
        found += pairs
    return list(dict.fromkeys(found))


def _names(record: Record, figures: dict[str, Any]) -> Iterable[str]:
    """Metrics that are one number, and those of single classes."""
    for name, value in figures.items():
        if isinstance(value, list):
            same = [names for names in record.classes if len(names) == len(value) and not isinstance(value[0], list)]
            yield from (f"{name}/{label}" for names in same[:1] for label in names)
        else:
            yield name


def _figures(records: Sequence[Record], chosen: Sequence[tuple[str, str]]) -> list[Column]:
    single = len({task for task, _ in chosen}) == 1
    columns = []
    for task, metric in chosen:
        modes = {mode for record in records for own, mode in [record.monitors().get(task, ("", None))] if own == metric}
        mode = modes.pop() if len(modes) == 1 else None
        values: list[Value] = [record.figure(task, metric) for record in records]
        title = f"test {metric if single else f'{task}/{metric}'}"
        columns.append(Column(f"{task}/{metric}", title, values, lambda value: f"{value:.4g}", mode))
    return columns


def _gains(records: Sequence[Record], singles: Scores) -> list[Column]:
    """Delta-m in percent, with the bounds of its interval."""
    found = [delta_m(record.scores, singles) for record in records]
    texts: list[Value] = [None if gain is None else gain.text() for gain in found]
    numbers = {
        "delta_m": [None if gain is None else gain.percent for gain in found],
        "delta_m_low": [None if gain is None else gain.low for gain in found],
        "delta_m_high": [None if gain is None else gain.high for gain in found],
    }
    shown = Column("delta_m_text", "delta-m (95 % interval)", texts)
    return [shown, *(Column(key, key, list(values), shown=False, mode="max") for key, values in numbers.items())]


def _differences(records: Sequence[Record]) -> list[Column]:
    """Choices and settings, among those that were typed, in which the runs are not all equal."""
    groups = [str(group) for record in records for group in record.command.get("choices", {})]
    typed = [word.lstrip("+~").partition("=")[0] for record in records for word in record.command.get("overrides", [])]
    columns = []
    for key in dict.fromkeys([*sorted(groups, key=lambda group: group not in typed), *typed]):
        values: list[Value] = [_setting(record, key, key in groups) for record in records]
        if key not in _PRIVATE and len(set(values)) > 1:
            columns.append(Column(key, key, values, numeric=False))
    return columns


def _setting(record: Record, key: str, is_group: bool) -> str | None:
    value = record.command.get("choices", {}).get(key) if is_group else OmegaConf.select(record.config, key)
    return None if value is None else _text(value)


def _text(value: Any) -> str:
    """A setting for a reader: of what is built, the class without where it lives."""
    if not isinstance(value, DictConfig):
        return str(value)
    options = ", ".join(f"{name!s}={_text(part)}" for name, part in value.items() if not str(name).startswith("_"))
    return f"{str(value.get('_target_', '')).rpartition('.')[2]}({options})"


def _costs(records: Sequence[Record]) -> list[Column]:
    def column(key: str, title: str, show: Callable[[Any], str] = str, **options: Any) -> Column:
        return Column(key, title, [record.costs.get(key) for record in records], show, **options)

    peaks = [record.costs.get("peak_memory_b") or 0 for record in records]
    unit, size, digits = ("GiB", 2**30, 2) if max(peaks, default=0) >= 2**30 else ("MiB", 2**20, 0)
    places = [column(key, key, numeric=False) for key in ("precision", "device")]
    return [
        column("parameters", "parameters (M)", lambda value: f"{value / 1e6:.2f}"),
        _trained(records),
        column("macs", "MACs (G)", lambda value: f"{value / 1e9:.3g}", shown=any(r.costs.get("macs") for r in records)),
        column("step_time_s", "step time (ms)", lambda value: f"{value * 1e3:.4g}"),
        column("images_per_second", "images/s", lambda value: f"{value:.4g}", shown=False),
        column("peak_memory_b", f"peak memory ({unit})", lambda value: f"{value / size:.{digits}f}"),
        column("steps", "steps"),
        column("timed_steps", "timed steps", shown=False),
        *places,
        column("processes", "processes", shown=len({record.costs.get("processes") for record in records} - {None}) > 1),
    ]


def _trained(records: Sequence[Record]) -> Column:
    """Shown only where some parameters are frozen."""
    values = [record.costs.get("trained_parameters") for record in records]
    frozen = any(record.costs.get("parameters") != value for record, value in zip(records, values, strict=True))
    return Column("trained_parameters", "trained (M)", values, lambda value: f"{value / 1e6:.2f}", shown=frozen)


def _lacks(record: Record, chosen: Sequence[tuple[str, str]]) -> Iterable[str]:
    """Why a run has dashes, and what is special about its figures."""
    if not record.command:
        yield "made by an older version, which did not keep what was typed"
    if not record.costs:
        ended = (record.folder / "evaluation").is_dir()
        yield "an older version did not keep its costs" if ended else "its training has not ended"
    elif record.costs.get("step_time_s") is None:
        yield "too few steps to time one"
    if record.costs.get("earlier_runs"):
        yield "peak memory can hold what earlier runs of the same process freed"
    if not record.evaluation:
        yield f"no test metrics ({_evaluated(record)})"
        return
    tasks = record.evaluation.get("metrics", {})
    yield from (f"no task {task}" for task in dict.fromkeys(task for task, _ in chosen) if task not in tasks)
    missing = [pair for pair in chosen if pair[0] in tasks and record.figure(*pair) is None]
    yield from (f"{task}/{metric} is missing or undefined" for task, metric in missing)
    if record.evaluation.get("checkpoint") != "best.ckpt":
        yield f"figures of {record.evaluation.get('checkpoint')}, not of the best weights"
    if record.evaluation.get("changes"):
        yield f"evaluated with {' '.join(map(str, record.evaluation['changes']))}"


def _evaluated(record: Record) -> str:
    return f"visionkit evaluate run={record.folder}"


def _sorted(columns: list[Column], sort: str) -> list[Column]:
    keys = {name: column for column in reversed(columns) for name in (column.key, column.key.rpartition("/")[2])}
    if sort not in keys:
        raise ConfigError("C67", f"--sort {sort}", "is no column of the comparison", nearest(sort, keys))
    by = keys[sort]
    known = [row for row, value in enumerate(by.values) if value is not None]
    known.sort(key=lambda row: by.values[row], reverse=by.mode == "max")  # type: ignore[arg-type,return-value]
    order = known + [row for row, value in enumerate(by.values) if value is None]
    return [replace(column, values=[column.values[row] for row in order]) for column in columns]
