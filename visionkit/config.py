"""Configuration: composing it, checking it, and building objects from it (the only place that does)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from visionkit.errors import ConfigError, DataError, VisionkitError, nearest

_PACKAGE = Path(__file__).parent
COMPOSITION = (HydraException, OmegaConfBaseException, ValueError)
"""What hydra raises for a command that it cannot understand; ``explain`` says it in one line."""


def conf_dir() -> Path:
    """Folder of the configuration: inside an installed package, else beside it in a checkout."""
    inside = _PACKAGE / "conf"
    return inside if inside.is_dir() else _PACKAGE.parent / "conf"


def compose(name: str, overrides: list[str]) -> DictConfig:
    """Composes ``conf/<name>.yaml`` with the overrides of a command line.

    Raises:
        ConfigError: a name or a key is wrong; says which is the nearest right one.
    """
    try:
        return _compose(name, overrides)
    except COMPOSITION as error:
        raise explain(error, name, overrides) from error


def build(cfg: Any, **values: Any) -> Any:
    """Makes the objects that ``_target_`` names, innermost first; ``values`` are added to the outermost call.

    Raises:
        VisionkitError: the one that a constructor raised, or ConfigError C19 for what else it did not accept.
    """
    plain = OmegaConf.to_container(cfg, resolve=True) if OmegaConf.is_config(cfg) else cfg
    try:
        return instantiate(plain, _convert_="all", **values)
    except InstantiationException as error:
        raise _cause(error) from error


def class_of(cfg: Any) -> Any:
    """The class that ``_target_`` names, without making an object of it."""
    return get_class(cfg["_target_"])


def options(group: str) -> list[str]:
    """Names that can follow ``group=``."""
    folder = conf_dir() / group
    files = [path for path in folder.rglob("*.yaml") if not path.name.startswith("_")]
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in files)


def choice(group: str, option: str) -> tuple[str, DictConfig]:
    """One option of a group: where it stands in a configuration, and what it says.

    Raises:
        ConfigError: C02 there is no such option.
    """
    path = conf_dir() / group / f"{option}.yaml"
    if not path.is_file():
        raise ConfigError("C02", f"{group}={option}", "no such option", nearest(option, options(group)))
    package = re.search(r"^# @package (\S+)", path.read_text())
    place = package[1] if package else group
    return place, OmegaConf.select(compose("train", [f"{group}={option}", "run=."]), place)


def explain(error: Exception, name: str, overrides: list[str]) -> ConfigError:
    """A composition error in one line, with the nearest right name."""
    text = str(error)
    missing = re.search(r"Could not find '([^']+)'", text)
    if missing:
        group, wrong = _group_of(missing[1])
        return ConfigError("C02", f"{group}={wrong}", "no such option", nearest(wrong, options(group)))
    mandatory = re.search(r"You must specify '([^']+)'", text)
    if mandatory:
        choices = ", ".join(options(mandatory[1]))
        return ConfigError("C03", mandatory[1], "nothing chosen", f"add {mandatory[1]}= one of {choices}")
    key = re.search(
        r"Could not override '([^']+)'|Key '([^']+)' is not in struct|Error merging override \+*~*(\S+?)=", text
    )
    if key:
        return _unknown_key(next(part for part in key.groups() if part), name, overrides)
    if "must be a string or a list" in text:
        emptied = (override[:-5] for override in overrides if override.endswith("=null"))
        group = next((name for name in emptied if (conf_dir() / name).is_dir()), "group")
        return ConfigError("C04", f"{group}=null", "is no way to choose nothing", f"write ~{group}")
    first = " ".join(text.split("\n")[0].split())
    return ConfigError("C04", " ".join(overrides), first, "see python train.py --help")


def check_roots(cfg: DictConfig) -> None:
    """Raises DataError where the folder of a dataset does not exist; cheap, so before anything is imported."""
    for place, root in _roots(OmegaConf.to_container(cfg.dataset, resolve=True), "dataset"):
        if not Path(root).expanduser().is_dir():
            fix = f"give the folder of your data: {place}=DIR (data/README.md says where to get it)"
            raise DataError("D02", f"{place}={root}", "no such folder", fix)


def check_tasks(cfg: DictConfig) -> None:
    """Raises ConfigError C237 where an option such as ``inference=`` sets something of a task that was not chosen."""
    chosen = [str(name) for name, node in cfg.tasks.items() if "_target_" in node]
    for name in cfg.tasks:
        if str(name) not in chosen:
            fix = f"leave out the option that sets it (the tasks are {', '.join(chosen) or 'none'})"
            raise ConfigError("C237", f"tasks.{name}", "is set, but no such task was chosen", fix)


def _compose(name: str, overrides: list[str]) -> DictConfig:
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose(name, overrides)


def _cause(error: InstantiationException) -> VisionkitError:
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, VisionkitError):
        cause = cause.__cause__
    if isinstance(cause, VisionkitError):
        return cause
    key = re.search(r"full_key: (\S+)", str(error))
    target = re.search(r"'([\w.]+)'", str(error))
    place = key[1] if key else target[1] if target else "configuration"
    reason = " ".join(str(cause).split("\n")[0].split())[:200]
    return ConfigError("C19", place, f"cannot be built ({reason})", "check its values: train.py --cfg job shows them")


def _group_of(path: str) -> tuple[str, str]:
    parts, group = path.split("/"), list[str]()
    while parts[1:] and (conf_dir() / "/".join([*group, parts[0]])).is_dir():
        group.append(parts.pop(0))
    top = group[0] if group else parts[0]
    return top, "/".join([*group[1:], *parts])


def _unknown_key(key: str, name: str, overrides: list[str]) -> ConfigError:
    kept = [override for override in overrides if override.lstrip("+~").partition("=")[0] != key]
    try:
        cfg: Any = _compose(name, kept) if len(kept) < len(overrides) else _compose(name, [])
    except COMPOSITION:
        cfg = OmegaConf.create({})
    *parents, last = key.split(".")
    node = OmegaConf.select(cfg, ".".join(parents)) if parents else cfg
    if parents and not OmegaConf.is_dict(node):
        return _unknown_key(".".join(parents), name, kept) if parents[1:] else _no_such(key, parents[0], cfg, "")
    return _no_such(key, last, node, "".join(f"{parent}." for parent in parents))


def _no_such(key: str, last: str, node: Any, prefix: str) -> ConfigError:
    groups = [path.name for path in conf_dir().iterdir() if path.is_dir()] if not prefix else []
    right = {*(str(choice) for choice in node if not str(choice).startswith("_")), *groups}
    return ConfigError("C05", key, "no such key", nearest(prefix + last, {prefix + choice for choice in right}))


def _roots(node: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "root" and isinstance(value, str):
                yield f"{place}.{key}", value
            yield from _roots(value, f"{place}.{key}")
