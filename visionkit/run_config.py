"""The configuration that a run was made with: kept beside it, read again, and changed for an evaluation or a bundle."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError, safe_load

from visionkit.config import choice, conf_dir
from visionkit.errors import ConfigError, nearest
from visionkit.files import replaced_file

_PATHS = {"root", "classes", "charset", "file"}
"""Keys of a dataset that name a file or folder wherever their value is text."""


def save_config(cfg: DictConfig, folder: Path) -> None:
    """Writes the resolved configuration; paths of the data become absolute, so that any later command finds them."""
    content = plain(cfg)
    absolute_paths(content["dataset"])
    with replaced_file(folder / "config.yaml") as new:
        new.write_text(OmegaConf.to_yaml(OmegaConf.create(content)), encoding="utf-8")


def load_config(run: str | Path) -> DictConfig:
    """The configuration that a run was made with.

    Raises:
        ConfigError: C08 there is no run, C34 its configuration is damaged.
    """
    path = Path(run) / "config.yaml"
    if not path.is_file():
        runs = [str(found.parent) for found in Path(run).parent.glob("*/config.yaml")] or ["runs/NAME"]
        raise ConfigError("C08", run, "is no run folder (it has no config.yaml)", nearest(str(run), runs))
    try:
        return cast(DictConfig, OmegaConf.load(path))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("C34", path, "cannot be read as YAML", "restore it, or choose another run=") from error


def change_config(cfg: DictConfig, changes: Iterable[str]) -> None:
    """Chooses options of groups anew (``generation=ctc_beam``) and sets keys, in this order.

    Raises:
        ConfigError: as ``config.choice`` (C02) and ``set_key``.
    """
    for change in changes:
        group, _, option = change.partition("=")
        if (conf_dir() / group).is_dir():
            place, node = choice(group, option)
            OmegaConf.update(cfg, place, node, merge=False, force_add=True)
        else:
            set_key(cfg, change)


def set_key(cfg: DictConfig, change: str) -> None:
    """Sets ``key=value`` where the configuration has that key.

    Raises:
        ConfigError: C05 an unknown key, C09 not key=value, or a value that YAML cannot read or that drops a whole part.
    """
    key, equals, text = change.lstrip("+").partition("=")
    if not equals:
        raise ConfigError("C09", change, "is not key=value", "write key=value")
    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    if not OmegaConf.is_dict(node) or last not in node:
        names = (
            [f"{parent}.{child}" for child in map(str, node)]
            if parent and OmegaConf.is_dict(node)
            else [*map(str, cfg)]
        )
        raise ConfigError("C05", key, "no such key", nearest(key, names))
    try:
        value = safe_load(text)
    except YAMLError as error:
        raise ConfigError("C09", change, "cannot be read", "quote it as in YAML") from error
    if OmegaConf.is_dict(node[last]) and value is not None and not isinstance(value, dict):
        keys = ", ".join(f"{key}.{child}=" for child in node[last])
        raise ConfigError("C09", change, "would drop a whole part", f"set one of its keys: {keys}")
    OmegaConf.update(cfg, key, value, merge=False)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """As JSON types, with every reference resolved."""
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def absolute_paths(node: Any) -> None:
    """Makes every path of a dataset absolute, in place."""
    if isinstance(node, dict):
        for key in _PATHS & node.keys():
            if isinstance(node[key], str):
                node[key] = str(Path(node[key]).expanduser().absolute())
        for value in node.values():
            absolute_paths(value)
