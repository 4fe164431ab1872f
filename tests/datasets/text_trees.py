"""Small datasets of text lines in their true layouts."""

from pathlib import Path

import numpy as np
from PIL import Image


def line_picture(path: Path, width: int = 40, height: int = 12, seed: int = 0) -> np.ndarray:
    """Writes a grey picture and returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    Image.fromarray(picture).save(path)
    return picture


IAM_LINES = (
    ("a01-000u-00", "ok", 'A|MOVE|to|"|stop'),
    ("a01-000u-01", "err", "Labour|life"),
    ("b02-001-00", "ok", "he|said|it"),
    ("c03-002-00", "ok", "zebra|Qq"),
)
"""Lines of three forms; the last holds characters that the first two do not."""


def iam_tree(root: Path, xml: bool = False) -> None:
    """Forms a01 for training, b02 for validation, c03 to test; pictures of 40 x 12 pixels."""
    for index, (key, _, _) in enumerate(IAM_LINES):
        form = key[:-3]
        line_picture(root / "lines" / form[:3] / form / f"{key}.png", seed=index)
    (root / "splits").mkdir()
    (root / "splits/train.txt").write_text("a01-000u-00\na01-000u-01\n")
    (root / "splits/validation.txt").write_text("b02-001\n")
    (root / "splits/test.txt").write_text("c03-002-00\n")
    if xml:
        _iam_xml(root)
        return
    (root / "ascii").mkdir()
    rows = [f"{key} {mark} 154 19 408 746 40 12 {text}" for key, mark, text in IAM_LINES]
    (root / "ascii/lines.txt").write_text("\n".join(["#--- lines.txt", "#", *rows]) + "\n")


def _iam_xml(root: Path) -> None:
    (root / "xml").mkdir()
    for form in ("a01-000u", "b02-001", "c03-002"):
        lines = [
            f'<line id="{key}" segmentation="{mark}" text="{text.replace("|", " ").replace(chr(34), "&quot;")}"/>'
            for key, mark, text in IAM_LINES
            if key.startswith(form)
        ]
        (root / f"xml/{form}.xml").write_text(
            f'<form id="{form}"><handwritten-part>{"".join(lines)}</handwritten-part></form>'
        )
