"""What ``bundle.json`` must look like before anything in it is used."""

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from visionkit.bundle import safety
from visionkit.errors import UnsafeFileError

FORMAT = 1
FIELDS = {"format": int, "visionkit": str, "encoder": dict, "tasks": dict, "labels": dict}
FIELDS |= {"preprocessing": dict, "metrics": dict, "sha256": dict}
_AGAIN = "export the run again"
_MAX_PIXELS = 2**15
_NAME = re.compile(r"\w[\w-]{0,99}")


def check(about: dict[str, Any], known: Collection[str], file: Path) -> None:
    """Refuses (UnsafeFileError) another format (U04), other fields (U06), and what ``safety.vet`` refuses.

    ``known`` names the classes that the model may be built from; ``file`` is for the messages.
    """
    if about.get("format") != FORMAT:
        what = f"has the format {str(about.get('format'))[:20]!r}, and this visionkit reads {FORMAT}"
        raise UnsafeFileError("U04", file, what, f"install the visionkit that wrote it, or {_AGAIN}")
    wrong = [name for name, kind in FIELDS.items() if type(about.get(name)) is not kind]
    wrong += [name for name in about if name not in FIELDS]
    wrong += [] if wrong or about["visionkit"].isprintable() else ["visionkit"]
    if wrong:
        raise UnsafeFileError("U06", file, f"{wrong[0][:60]!r} is missing or not as expected", _AGAIN)
    for name in ("encoder", "tasks"):
        safety.vet(about[name], known, file, name)
    for name, cfg in [("encoder", about["encoder"]), *about["tasks"].items()]:
        if not isinstance(cfg, dict) or "_target_" not in cfg:
            raise UnsafeFileError("U06", file, f"{name[:60]!r} does not say what to build", _AGAIN)
        if not _NAME.fullmatch(name):  # it becomes a folder of results
            raise UnsafeFileError("U06", file, f"{name[:60]!r} is no name of a task", _AGAIN)
    preprocessing = about["preprocessing"]
    wrong = [name for name, right in _PREPROCESSING.items() if not right(preprocessing.get(name))]
    wrong += [name for name in preprocessing if name not in _PREPROCESSING]
    if wrong:
        raise UnsafeFileError("U06", file, f"'preprocessing' has no usable {wrong[0][:60]!r}", _AGAIN)
    intensity = preprocessing.get("intensity")
    safety.vet(intensity, known, file, "preprocessing.intensity")
    if intensity is not None and not _says_what(intensity):
        raise UnsafeFileError("U26", file, "'preprocessing.intensity' does not say what to build", _AGAIN)
    safety.vet(preprocessing.get("prepare"), known, file, "preprocessing.prepare")


def _says_what(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= _MAX_PIXELS


def _is_list(value: Any, length: int, each: Callable[[Any], bool]) -> bool:
    return value is None or (isinstance(value, list) and len(value) == length and all(map(each, value)))


_PREPROCESSING: dict[str, Callable[[Any], bool]] = {
    "channels": _is_count,
    "size": lambda value: _is_list(value, 2, _is_count),
    "channels_last": lambda value: value is None or isinstance(value, bool),
    "spatial_dims": lambda value: value is None or (type(value) is int and value in (2, 3)),
    "spacing_mm": lambda value: _is_list(value, 3, lambda mm: type(mm) in (int, float) and 0 < mm < _MAX_PIXELS),
    "interpolation": lambda value: value in (None, "linear", "cubic"),
    "intensity": lambda value: True,  # vetted as everything that is built
    "prepare": lambda value: value is None or (isinstance(value, list) and all(map(_says_what, value))),
}
"""What each value must be; None stands for one that is not given."""
