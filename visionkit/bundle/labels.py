"""Labels as JSON and back: what a dataset says of a target is data that travels with the weights."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from visionkit.errors import UnsafeFileError
from visionkit.labels import BytePairs, Charset, Classes, Edges, Objects, TableTokens, WordList

KINDS: dict[str, type] = {
    "classes": Classes,
    "edges": Edges,
    "objects": Objects,
    "charset": Charset,
    "table_tokens": TableTokens,
    "word_list": WordList,
    "byte_pairs": BytePairs,
}
"""The dataclasses of ``types.py`` that labels may be; nothing else is ever built from a file."""


def labels_to_json(labels: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Labels of each target as plain JSON: ``{"mask": {"kind": "classes", "names": [...], ...}}``.

    A target without labels (None) is left out. Raises TypeError for a kind that is not in ``KINDS``.
    """
    names = {kind: name for name, kind in KINDS.items()}
    plain = {}
    for target, value in labels.items():
        if value is None:
            continue
        if type(value) not in names:
            raise TypeError(
                f"labels of {target!r} are {type(value).__name__}, which visionkit.bundle.labels.KINDS lacks"
            )
        plain[target] = {"kind": names[type(value)], **_lists(asdict(value))}
    return plain


def labels_from_json(plain: Any, file: Path) -> dict[str, Any]:
    """The inverse of ``labels_to_json``; ``file`` is named in the UnsafeFileError (U09) for anything unexpected."""
    labels = {}
    for target, entry in _mapping(plain, file, "labels").items():
        fields = dict(_mapping(entry, file, f"labels.{target}"))
        kind = fields.pop("kind", None)
        if not isinstance(kind, str) or kind not in KINDS:
            raise _refuse(file, f"labels.{target} are of the unknown kind {str(kind)[:40]!r}")
        hints = get_type_hints(KINDS[kind])
        values = {name: _tuples(value) for name, value in fields.items()}
        wrong = [name for name, value in values.items() if name not in hints or not _conforms(value, hints[name])]
        if wrong:
            raise _refuse(file, f"labels.{target}.{wrong[0][:40]} is not what {kind} have")
        try:
            labels[target] = KINDS[kind](**values)
        except (TypeError, ValueError) as error:
            raise _refuse(file, f"labels.{target} do not make {kind} ({error})") from error
    return labels


def _mapping(value: Any, file: Path, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refuse(file, f"{where} is not an object")
    return value


def _refuse(file: Path, what: str) -> UnsafeFileError:
    return UnsafeFileError("U09", file, what, "export the run again with this version of visionkit")


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, tuple | list) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _conforms(value: Any, hint: Any) -> bool:
    """Whether a value read from JSON has the type that a dataclass declares for it."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_conforms(value, option) for option in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        each = inner[:1] * len(value) if inner[1:] == (Ellipsis,) else inner
        return len(each) == len(value) and all(map(_conforms, value, each))
    if origin is dict:
        return isinstance(value, dict) and all(_conforms(item, inner[1]) for item in value.values())
    return type(value) is hint or (hint is float and type(value) is int)
