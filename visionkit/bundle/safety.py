"""What a bundle may say: JSON within limits, and a configuration that names known classes only.

Nothing here imports or runs anything that a file names; a file that asks for more is refused.
"""

import json
import math
import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from visionkit.config import conf_dir
from visionkit.errors import UnsafeFileError

MAX_JSON_BYTES = 64 * 2**20
MAX_JSON_DEPTH = 32
_GROUPS = ("encoder", "task", "guidance", "inference", "metrics", "table_code")
_EXPORT = "export the run again"
_OBTAIN = "get the bundle again from whom you trust"
_SPECIAL = {"_partial_": (True, False), "_recursive_": (True, False), "_convert_": ("none", "partial", "object", "all")}
_OUTWARD = re.compile(r"^[~/\\]|(^|[/\\])\.\.([/\\]|$)|^[A-Za-z][A-Za-z0-9+._-]*:")
"""A path that is absolute or climbs, a drive, a URL, ``hf-hub:...`` or ``local-dir:...``."""
_WEIGHTS = {"weights", "weights_path", "weights_file", "checkpoint", "checkpoint_path", "ckpt_path", "state_dict"}


def inside(folder: Path, name: Any, file: Path) -> Path:
    """The path of ``name`` in a folder. UnsafeFileError U05 if it leaves the folder, also by a link."""
    plain = isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name)
    if not plain or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise UnsafeFileError("U05", file, f"{str(name)[:80]!r} leads out of the bundle's folder", _OBTAIN)
    return folder / name


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object of bounded size and depth. UnsafeFileError U02 (not JSON) or U03 (too large or deep)."""
    with file.open("rb") as stream:
        data = stream.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise UnsafeFileError("U03", file, f"is larger than {MAX_JSON_BYTES >> 20} MiB", _OBTAIN)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise UnsafeFileError("U03", file, "is nested too deeply", _OBTAIN) from error
    except ValueError as error:
        reason = f"is not valid JSON ({error})" if data else "is empty"
        raise UnsafeFileError("U02", file, reason, _EXPORT) from error
    _limits(value, file, MAX_JSON_DEPTH)
    if not isinstance(value, dict):
        raise UnsafeFileError("U02", file, "is not a JSON object", _EXPORT)
    return value


def known_targets() -> frozenset[str]:
    """The classes a bundle may name: every ``_target_`` in the packaged options of the groups that a model is made
    from, in the encoders, tasks and preparations of experiments, and in the datasets' intensities and preparations.
    """
    return _known_targets(conf_dir())


@lru_cache(maxsize=4)
def _known_targets(conf: Path) -> frozenset[str]:
    found: set[str] = set()
    for group in _GROUPS:
        for file in sorted((conf / group).rglob("*.yaml")):
            found |= targets(yaml.safe_load(file.read_text(encoding="utf-8")))
    for file in sorted((conf / "dataset").rglob("*.yaml")):
        dataset = yaml.safe_load(file.read_text(encoding="utf-8"))
        found |= targets([dataset.get("intensity"), dataset.get("prepare")])
    for file in sorted((conf / "experiment").rglob("*.yaml")):
        experiment = yaml.safe_load(file.read_text(encoding="utf-8"))
        prepare = (experiment.get("dataset") or {}).get("prepare")
        found |= targets([experiment.get("encoder"), experiment.get("tasks"), prepare])
    return frozenset(found)


def targets(cfg: Any) -> set[str]:
    """Every ``_target_`` that is a string, at any depth."""
    if isinstance(cfg, list):
        return set().union(*map(targets, cfg))
    if not isinstance(cfg, dict):
        return set()
    own = cfg.get("_target_")
    return set().union({own} if isinstance(own, str) else set(), *map(targets, cfg.values()))


def vet(cfg: Any, known: Collection[str], file: Path, where: str) -> None:
    """Refuses a configuration unless each class in it is known by its exact name and every value is plain data.

    Raises UnsafeFileError: U14 unknown ``_target_``, U15 ``_target_`` that is no string, U16 interpolation,
    U17 another special key or a wrong value of one, U18 a text that points outside the bundle.
    ``where`` names the configuration in the message.
    """
    if isinstance(cfg, dict):
        for key, value in cfg.items():
            vet_text(key, file, where)
            if key.startswith("_"):
                _vet_special(key, value, known, file, where)
            vet(value, known, file, f"{where}.{key}")
    elif isinstance(cfg, list):
        for index, value in enumerate(cfg):
            vet(value, known, file, f"{where}[{index}]")
    elif isinstance(cfg, str):
        vet_text(cfg, file, where)


def vet_text(text: str, file: Path, where: str) -> None:
    """Refuses what would be evaluated (``${...}``, ``???``), cannot be shown, or points outside the bundle."""
    if "${" in text or text == "???" or not text.isprintable():
        raise UnsafeFileError("U16", file, f"{where} holds {text[:60]!r}, which is not a plain value", _OBTAIN)
    if _OUTWARD.search(text):
        raise UnsafeFileError("U18", file, f"{where} points outside the bundle ({text[:60]!r})", _OBTAIN)


def offline(cfg: Any) -> Any:
    """A copy in which nothing is downloaded or read: ``pretrained`` is off, paths of weights are gone."""
    if isinstance(cfg, list):
        return [offline(item) for item in cfg]
    if not isinstance(cfg, dict):
        return cfg
    return {key: _unplugged(key, value) for key, value in cfg.items()}


def _unplugged(key: str, value: Any) -> Any:
    if key == "pretrained" or ("pretrained" in key and isinstance(value, bool)):
        return False
    names_file = key in _WEIGHTS or "pretrained" in key
    return None if names_file and isinstance(value, str) else offline(value)


def _vet_special(key: str, value: Any, known: Collection[str], file: Path, where: str) -> None:
    if key == "_target_":
        if not isinstance(value, str):
            raise UnsafeFileError("U15", file, f"{where}._target_ is not a text", _OBTAIN)
        if value not in known:
            fix = f"if you trust this class, load the bundle in Python with allow=[{value[:80]!r}]"
            raise UnsafeFileError("U14", file, f"{where} asks for the unknown class {value[:80]!r}", fix)
    elif not any(value is choice or (isinstance(value, str) and value == choice) for choice in _SPECIAL.get(key, ())):
        raise UnsafeFileError("U17", file, f"{where}.{key[:40]} is not allowed in a bundle", _OBTAIN)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key is given twice")
    return table


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _limits(value: Any, file: Path, depth: int) -> None:
    if depth == 0:
        raise UnsafeFileError("U03", file, "is nested too deeply", _OBTAIN)
    if isinstance(value, float) and not math.isfinite(value):
        raise UnsafeFileError("U02", file, "holds a number that is too large", _EXPORT)
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise UnsafeFileError("U02", file, "holds text that is not Unicode", _EXPORT)
    if isinstance(value, dict):
        for key, item in value.items():
            if not key.isprintable():  # keys are shown in messages, where they must not control the terminal
                raise UnsafeFileError("U02", file, "holds a key that cannot be shown", _EXPORT)
            _limits(item, file, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _limits(item, file, depth - 1)
