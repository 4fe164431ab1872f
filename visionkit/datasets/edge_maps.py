"""Edge maps from the disk: those of several annotators in a .mat file, or one of a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int8
from torch import Tensor

from visionkit.datasets.images import MAX_PIXELS, load
from visionkit.datasets.matlab import read_variable
from visionkit.errors import DataError

_REPLACE = "replace it or set dataset.on_bad=skip"
_EXPECTED = "it should hold groundTruth{k}.Boundaries, a binary map for each annotator, as BSDS500 does"
_MIDDLE = 128
_MOST = 0.5


@dataclass(frozen=True)
class EdgeReader:
    """Reads the edges of one picture: ``.mat`` as ``read_annotators``, any other file as ``read_drawing``.

    Args:
        dark: edges of drawings are dark on bright ground.
    """

    dark: bool = False

    def __call__(self, path: Path) -> Int8[Tensor, "a h w"]:
        """1 on an edge, 0 elsewhere, for each annotator."""
        return read_annotators(path) if path.suffix.lower() == ".mat" else read_drawing(path, self.dark)


def read_annotators(path: Path) -> Int8[Tensor, "a h w"]:
    """Maps of all annotators in a MATLAB file of version 5 to 7, as in BSDS500 (Arbelaez et al. 2011).

    Raises:
        DataError: as ``read_variable``; D14 too large, D81 other contents, D82 maps that are not binary or differ in
            size.
    """
    cells = read_variable(path, "groundTruth", _EXPECTED)
    maps = [_boundaries(cell, path) for cell in cells.ravel()]
    if not maps:
        raise DataError("D81", path, "has no annotators", _EXPECTED)
    if len({drawn.shape for drawn in maps}) > 1:
        sizes = ", ".join(f"{width} x {height}" for height, width in (drawn.shape for drawn in maps))
        raise DataError("D82", path, f"its annotators' maps are of different sizes ({sizes})", _REPLACE)
    return torch.from_numpy(np.stack(maps))


def read_drawing(path: Path, dark: bool = False) -> Int8[Tensor, "1 h w"]:
    """One map from a picture: an edge where the grey value is 128 or more (with ``dark``: below).

    Raises:
        DataError: as ``read_image``; D18 a lossy format, D83 a picture of colours, D84 more edges than ground.
    """
    image = load(path)
    if image.format in ("JPEG", "MPO"):
        what = "is a JPEG, which smears the lines of an edge map"
        raise DataError("D18", path, what, "save it as a PNG")
    if image.mode.startswith(("I", "F")):
        raise DataError("D83", path, f"has pixels of the kind {image.mode}", "save it as an 8-bit grey PNG")
    colors = np.asarray(image.convert("RGB"))
    if (colors != colors[..., :1]).any():
        raise DataError("D83", path, "holds colours", "save it as a grey PNG, edges white on black")
    edges = (colors[..., 0] >= _MIDDLE) ^ dark
    if min(edges.shape) > 2 and edges.mean() > _MOST:
        what = f"says that {edges.mean():.0%} of the picture are edges"
        fix = f"if its edges are {'bright' if dark else 'dark'}, set dataset.layout.dark={str(not dark).lower()}"
        raise DataError("D84", path, what, fix)
    return torch.from_numpy(edges.astype(np.int8))[None]


def _boundaries(cell: Any, path: Path) -> np.ndarray:
    """The map of one annotator, int8 h w."""
    names = getattr(getattr(cell, "dtype", None), "names", None) or ()
    drawn = cell["Boundaries"].ravel()[0] if "Boundaries" in names and cell.size else None
    if not isinstance(drawn, np.ndarray) or drawn.ndim != 2 or drawn.dtype.kind not in "buif":
        raise DataError("D81", path, "has an annotator without a map of boundaries", _EXPECTED)
    if drawn.size > MAX_PIXELS:
        raise DataError("D14", path, f"holds maps of {drawn.size} pixels; at most {MAX_PIXELS} are read", _REPLACE)
    edges = drawn != 0
    if (drawn[edges] != 1).any():
        raise DataError("D82", path, f"has boundaries with the value {drawn[edges].max()}, not 0 and 1", _REPLACE)
    return edges.astype(np.int8)
