"""``visionkit check``: every bad file of a dataset, one line each, before anything is trained."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from visionkit.commands import catalog
from visionkit.config import build, compose
from visionkit.datasets.check import Tally, check_splits
from visionkit.datasets.pairs import SPLITS
from visionkit.errors import ConfigError, DataError, nearest


def check_dataset(name: str, split: str | None, changes: Mapping[str, str]) -> int:
    """Prints every finding of ``conf/dataset/<name>.yaml`` and a summary; returns the exit code.

    ``changes`` are values for keys of that file. Raises ConfigError C63 for a wrong name, C65 for a wrong key.
    """
    catalog.option("dataset", name)
    dataset = compose(f"dataset/{name}", []).dataset
    for key, value in changes.items():
        _change(dataset, key, value)
    sources = dataset.sources if "sources" in dataset else {name: dataset}
    errors = sum(_check_source(str(source), node, [split] if split else SPLITS) for source, node in sources.items())
    if errors:
        print(f"Next: mend or remove these, or train with dataset.on_bad=skip ({errors} found)")
        return DataError.exit_code
    print(f"Next: python train.py task=NAME dataset={name}{_shown(changes)} (visionkit list tasks)")
    return 0


def _check_source(name: str, source: DictConfig, splits: Any) -> int:
    """Number of faults; doubts are printed too but do not count."""
    options: dict[str, Any] = {"channels": source.channels}
    if source.root is not None:
        options["root"] = Path(source.root).expanduser()
    tallies = {split: Tally() for split in splits}
    errors = 0
    for finding in check_splits(build(source.layout), splits, _progress(), tallies, **options):
        _clear()
        print(finding)
        errors += finding.severity == "error"
    _clear()
    for split, tally in tallies.items():
        unknown = f", {tally.unknown} pixels unknown" if tally.unknown else ""
        print(f"{name} {split}: {tally.samples} samples can be used, {tally.lost} cannot{unknown}")
    return errors


def _change(dataset: DictConfig, key: str, value: str) -> None:
    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(dataset, parent) if parent else dataset
    known = {*map(str, node)} if OmegaConf.is_dict(node) else set()
    if last not in known:
        choices = {f"{parent}.{child}".lstrip(".") for child in known or map(str, dataset)}
        names = {choice for choice in choices if "_target_" not in choice} | {"dataset", "split"}
        raise ConfigError("C65", key, "visionkit check has no such setting", nearest(key, names))
    try:
        OmegaConf.update(dataset, key, yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise ConfigError("C67", f"{key}={value}", "cannot be understood", "quote it as in YAML") from error


def _progress() -> Any:
    if not sys.stderr.isatty():
        return None
    return lambda done, total: print(f"\r{done} of {total}", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)


def _shown(changes: Mapping[str, str]) -> str:
    return "".join(f" dataset.{key}={value}" for key, value in changes.items())
