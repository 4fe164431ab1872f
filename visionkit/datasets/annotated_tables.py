"""Tables in PubTabNet's annotation, one JSON object for each, to ``labels.Table``; and every fault of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visionkit.errors import ConfigError, DataError
from visionkit.labels import Cell, Table, TableTokens
from visionkit.text.table_grid import NotRectangular, TableFault, grid_of

_FIX = "mend the annotation or set dataset.on_bad=skip"
_FORM = 'it should be {"html": {"structure": {"tokens": [...]}, "cells": [{"tokens": [...], "bbox": [...]}]}}'


def table_of(annotation: Any, place: str) -> Table:
    """The table of one object; ``html.cells`` may also be called ``html.cell``, and boxes may be missing.

    Cells without tokens have no box, whatever the file says.

    Raises:
        DataError: D135 another form, D136 a number of cells that is not that of the structure, D137 structure tokens in
            a wrong order, D138 a box that is none.
    """
    try:
        page = annotation["html"]
        structure = _tokens(page["structure"]["tokens"])
        given = page["cells"] if "cells" in page else page["cell"]
        cells = tuple(Cell(_tokens(cell["tokens"]), _box(cell, place)) for cell in given)
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise DataError("D135", place, f"has an annotation of another form ({reason[:80]})", _FORM) from error
    check_table(table := Table(structure, cells), place)
    return table


def check_table(table: Table, place: str) -> None:
    """Raises DataError D136 and D137; a table that is no rectangle passes, for HTML can express it."""
    wanted = sum(token in ("<td>", "<td") for token in table.structure)
    if wanted != len(table.cells):
        raise DataError(
            "D136", place, f"has {wanted} cells in its structure but the content of {len(table.cells)}", _FIX
        )
    try:
        grid_of(table.structure)
    except NotRectangular:
        pass
    except TableFault as fault:
        raise DataError("D137", place, f"the structure makes no table: {fault}", _FIX) from fault


def parse_line(line: bytes, place: str) -> Any:
    """One line of JSON. Raises DataError D135."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError("D135", place, f"is no JSON ({' '.join(str(error).split())[:80]})", _FORM) from error


def read_labels(file: str | Path) -> TableTokens:
    """Tokens from a JSON file ``{"structure": [...], "content": [...]}``. Raises ConfigError C206."""
    try:
        given = json.loads(Path(file).expanduser().read_text(encoding="utf-8"))
        return TableTokens(_tokens(given["structure"]), _tokens(given["content"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{file} holds no tokens ({' '.join(str(error).split())[:80]})"
        raise ConfigError(
            "C206", "dataset.layout.tokens", what, 'write {"structure": [...], "content": [...]}'
        ) from error


def page_box(annotation: Any, place: str) -> tuple[float, float, float, float] | None:
    """Where the table is on its page, None where the object does not say. Raises DataError D138."""
    return _box({"bbox": annotation.get("bbox"), "tokens": ["the table itself"]}, place)


def _tokens(value: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(token, str) and token for token in value):
        raise TypeError("tokens are not a list of strings")
    return tuple(value)


def _box(cell: Mapping[str, Any], place: str) -> tuple[float, float, float, float] | None:
    box = cell.get("bbox")
    if box is None or not cell["tokens"]:
        return None
    numbers = isinstance(box, list) and len(box) == 4 and all(type(side) in (int, float) for side in box)
    if not numbers or not (-1e6 < box[0] <= box[2] < 1e6 and -1e6 < box[1] <= box[3] < 1e6):
        raise DataError("D138", place, f"has a cell with the box {str(box)[:60]}, not left, top, right, bottom", _FIX)
    return tuple(map(float, box))  # type: ignore[return-value]
