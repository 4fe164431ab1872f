"""Names and colours of classes from a list or a file."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from visionkit.datasets.masks import Color
from visionkit.errors import DataError
from visionkit.labels import Classes

_FILES = ("classes.yaml", "classes.yml", "classes.json")
_HOW = (
    "write one line for each class in the order of the mask's values: "
    "'- road' or '- {name: road, color: [128, 64, 128]}'"
)


def read_classes(source: str | Path | Sequence[Any] | None, root: Path) -> Classes:
    """Classes from a list, from a YAML or JSON file that holds one, or from ``root/classes.yaml``.

    An entry is a name, or a name with a colour (``{name: road, color: [128, 64, 128]}`` or ``"#804080"``).

    Raises:
        DataError: D29 there is no file, or it does not hold such a list.
    """
    if source is None:
        source = next((root / name for name in _FILES if (root / name).is_file()), None)
        if source is None:
            raise DataError("D29", root / _FILES[0], "there is no list of classes", _HOW)
    if isinstance(source, str | Path):
        return _parse(_read(Path(source)), Path(source))
    return _parse(source, Path("dataset.layout.classes"))


def parse_color(value: Any, place: str | Path) -> Color:
    """A colour from ``[red, green, blue]`` in 0..255 or ``"#rrggbb"``. Raises DataError D29."""
    if isinstance(value, str) and len(value) == 7 and value[0] == "#":
        try:
            value = list(bytes.fromhex(value[1:]))
        except ValueError:
            value = None
    whole = isinstance(value, Sequence) and all(type(part) is int and 0 <= part <= 255 for part in value)
    if not whole or len(value) != 3:
        raise DataError("D29", place, f"{value!r} is no colour", "write [red, green, blue] in 0..255 or '#rrggbb'")
    return tuple(value)


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except FileNotFoundError:
        raise DataError("D29", path, "there is no such list of classes", _HOW) from None
    except OSError as error:
        raise DataError("D11", path, f"cannot be read ({error.strerror})", "check its permissions") from error
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError("D29", path, f"is not valid YAML or JSON ({reason})", _HOW) from error


def _parse(entries: Any, place: Path) -> Classes:
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise DataError("D29", place, "does not hold a list of classes", _HOW)
    names: list[str] = []
    colors: list[Color] = []
    for entry in entries:
        entry = {"name": entry} if isinstance(entry, str | int) else entry
        if not isinstance(entry, dict) or not {"name"} <= set(entry) <= {"name", "color"}:
            raise DataError("D29", place, f"{entry!r} is no class", _HOW)
        if isinstance(entry["name"], bool) or not isinstance(entry["name"], str | int):
            fix = "put it in quotes if it is a word that YAML takes for something else (no, yes, on, off)"
            raise DataError("D29", place, f"{entry['name']!r} is no name", fix)
        names.append(str(entry["name"]))
        if "color" in entry:
            colors.append(parse_color(entry["color"], place))
    if colors and len(colors) != len(names):
        raise DataError("D29", place, f"only {len(colors)} of {len(names)} classes have a colour", "give all a colour")
    for kind, counts in (("name", Counter(names)), ("colour", Counter(colors))):
        twice, count = max(counts.items(), key=lambda item: item[1], default=(None, 0))
        if count > 1:
            raise DataError("D29", place, f"the {kind} {twice!r} occurs twice", f"give every class its own {kind}")
    return Classes(tuple(names), tuple(colors))
