"""Every option of the configuration with the words to type for it: what ``visionkit list`` prints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from visionkit.config import conf_dir
from visionkit.errors import ConfigError, nearest

_FACTS = {"published"}
"""Folders of the configuration that hold figures to compare with, and nothing to choose."""


@dataclass(frozen=True)
class Option:
    """One file of a configuration group."""

    name: str
    """Path below the group, without suffix: ``segmentation/unet``."""
    typed: str
    """What to add to a command: ``task/segmentation=unet``."""
    description: str


def options(conf: Path | None = None) -> dict[str, list[Option]]:
    """Options of each group, read from the comments of the YAML files; nothing is composed or built."""
    conf = conf_dir() if conf is None else conf
    chosen = _chosen_somewhere(conf)
    groups = {}
    for folder in sorted(path for path in conf.iterdir() if path.is_dir() and path.name not in _FACTS):
        files = sorted(file for file in folder.rglob("*.yaml") if not file.name.startswith("_"))
        if files:
            groups[folder.name] = [_option(file, folder, chosen) for file in files]
    return groups


def options_of(group: str, conf: Path | None = None) -> dict[str, list[Option]]:
    """One group, named in the singular or the plural. Raises ConfigError C62 for a wrong name."""
    groups = options(conf)
    for name in groups:
        if group in (name, f"{name}s"):
            return {name: groups[name]}
    raise ConfigError("C62", group, "there is no such group of options", nearest(group, groups))


def option(group: str, name: str, conf: Path | None = None) -> Option:
    """One option by its name. Raises ConfigError C63 for a wrong name."""
    found = {option.name: option for option in options_of(group, conf)[group]}
    if name not in found:
        raise ConfigError("C63", f"{group}={name}", f"there is no such {group}", nearest(name, found))
    return found[name]


def description(file: Path) -> str:
    """The first comment line of a YAML file, after its ``# @package`` line."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @package"):
            return line.lstrip("# ").rstrip()
        if line.strip() and not line.startswith("#"):
            break
    return ""


def _option(file: Path, folder: Path, chosen: set[str]) -> Option:
    name = file.relative_to(folder).with_suffix("").as_posix()
    if folder.name in chosen:
        return Option(name, f"{folder.name}={name}", description(file))
    group = file.parent.relative_to(folder.parent).as_posix()
    # Hydra wants a plus where a group is added that no defaults list names.
    return Option(name, f"{'' if group in chosen else '+'}{group}={file.stem}", description(file))


def _chosen_somewhere(conf: Path) -> set[str]:
    """Groups that the defaults list of training, or of an experiment, makes a choice from."""
    files = [conf / "train.yaml", *sorted((conf / "experiment").rglob("*.yaml"))]
    entries: list[Any] = []
    for file in files:
        if file.is_file():
            entries += (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("defaults") or []
    keys = (key for entry in entries if isinstance(entry, dict) for key in entry)
    return {str(key).split()[-1].split("@")[0].lstrip("/") for key in keys}
