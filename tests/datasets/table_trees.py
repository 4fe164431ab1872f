"""Small table datasets in their true layouts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROW = ["<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>"]


def annotation(name: str, split: str, cells: list[dict[str, Any]], rows: int = 1) -> dict[str, Any]:
    """One line of PubTabNet 2."""
    structure = ["<tbody>", *ROW * rows, "</tbody>"]
    return {
        "filename": name,
        "split": split,
        "imgid": 0,
        "html": {"structure": {"tokens": structure}, "cells": cells},
    }


def cells(*texts: str, boxes: bool = True) -> list[dict[str, Any]]:
    """Cells with a character a token, and boxes in a row."""
    return [
        {"tokens": list(text), **({"bbox": [10 * place, 2, 10 * place + 8, 9]} if text and boxes else {})}
        for place, text in enumerate(texts)
    ]


def picture(path: Path, height: int = 12, width: int = 40) -> None:
    """A grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 200, np.uint8)).save(path)


def write_lines(path: Path, lines: list[Any]) -> None:
    """A JSON object for each line; text goes as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")


def pubtabnet(root: Path) -> Path:
    """Two tables to train on, one to validate."""
    lines = [
        annotation("a.png", "train", cells("ab", "1")),
        annotation("b.png", "train", cells("<b", "", "c", "é"), rows=2),
        annotation("c.png", "val", cells("z", "9")),
    ]
    write_lines(root / "PubTabNet_2.0.0.jsonl", lines)
    for name, split in (("a", "train"), ("b", "train"), ("c", "val")):
        picture(root / split / f"{name}.png")
    return root
