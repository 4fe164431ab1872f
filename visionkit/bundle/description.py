"""What ``bundle.json`` must look like before anything in it is used."""

import re
from collections.abc import Collection, Mapping
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
    if not _is_preprocessing(about["preprocessing"]):
        raise UnsafeFileError(
            "U06", file, "'preprocessing' is not {channels: 3, size: [HEIGHT, WIDTH] or null}", _AGAIN
        )


def _is_preprocessing(value: Mapping[str, Any]) -> bool:
    size, known = value.get("size"), {"channels", "size", "channels_last"}
    numbers = [value.get("channels"), *(size if isinstance(size, list) else [])]
    right = all(type(number) is int and 0 < number <= _MAX_PIXELS for number in numbers)
    right = right and (size is None or len(numbers) == 3) and isinstance(value.get("channels_last", True), bool)
    return right and set(value) <= known
