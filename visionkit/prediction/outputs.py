"""Predictions on the disk: each kind of value in a Prediction knows how it returns to the picture and how it is kept.

A new kind of prediction is one more line in ``KINDS``, under its key in ``types.Prediction``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from visionkit.drawing import palette
from visionkit.files import replaced_file
from visionkit.labels import Classes
from visionkit.layers.mass import resize_mass
from visionkit.layers.resize import nearest_index
from visionkit.prediction.tables import moved_boxes, write_cell_boxes, write_table


@dataclass(frozen=True)
class Kind:
    """What is done with one value of a Prediction, unbatched and on the CPU."""

    restore: Callable[[Tensor, Sequence[int]], Tensor]
    """(value, size) -> the value for the picture's own size; the value was found at another."""
    write: Callable[[Tensor, Any, Path, str], dict[str, Any]]
    """(value, labels, folder, name without suffix) -> what the line in predictions.jsonl says of it, as JSON."""
    move: Callable[[Tensor, Sequence[int], Sequence[int]], Tensor] | None = None
    """(value, size at which it was found, size) -> the value, in place of ``restore`` where it is made of places."""


def nearest_pixel(value: Tensor, size: Sequence[int]) -> Tensor:
    """A map at another size, each value taken from the pixel (or voxel) under its centre; nothing is mixed."""
    for axis, length in enumerate(size):
        value = value.index_select(axis, nearest_index(value.shape[axis], length))
    return value


def write_picture(picture: Image.Image, folder: Path, name: str) -> str:
    """Writes ``folder/name.png`` and returns ``name.png``."""
    with replaced_file(folder / f"{name}.png") as new:
        picture.save(new)
    return f"{name}.png"


def write_mask(mask: Int64[Tensor, "h w"], labels: Classes, folder: Path, name: str) -> dict[str, Any]:
    """Class indices as a PNG: 8 bits with a palette up to 255 classes, else 16 bits of grey.

    The highest value that the PNG can hold means unknown. Returns the file and each class's share of the pixels.
    """
    bits = np.uint8 if len(labels) < 256 else np.uint16
    indices = mask.numpy().astype(bits)  # -1 wraps to the highest value
    picture = Image.fromarray(indices)
    if bits is np.uint8:
        colors = labels.colors or palette(len(labels))
        picture.putpalette([value for color in colors for value in color])
    return {"mask": write_picture(picture, folder, name), "shares": shares(mask, labels)}


def shares(mask: Int64[Tensor, "*space"], labels: Classes) -> dict[str, float]:
    """Each class's share of the pixels, by name, where it is not zero."""
    counts = torch.bincount(mask[mask >= 0], minlength=len(labels)).tolist()
    pairs = zip(labels.names, counts, strict=True)
    return {label: count / mask.numel() for label, count in pairs if count}


def write_confidence(confidence: Float[Tensor, "*space"], labels: Any, folder: Path, name: str) -> dict[str, Any]:
    """The mean over the pixels; null where there are none."""
    return {"confidence": confidence.mean().item() if confidence.numel() else None}


def linear(value: Float[Tensor, "h w"], size: Sequence[int]) -> Float[Tensor, "new_h new_w"]:
    """A map at another size, its values mixed bilinearly."""
    return F.interpolate(value[None, None], size=tuple(size), mode="bilinear", antialias=True)[0, 0].clamp(0, 1)


def write_edges(edges: Float[Tensor, "h w"], labels: Any, folder: Path, name: str) -> dict[str, Any]:
    """Probability as an 8-bit grey PNG, edges bright; with the share of the pixels of at least one half."""
    picture = Image.fromarray((edges.numpy() * 255).round().astype(np.uint8))
    share = (edges >= 0.5).float().mean().item() if edges.numel() else None
    return {"edges": write_picture(picture, folder, name), "edge_share": share}


def write_density(density: Float[Tensor, "h w"], labels: Any, folder: Path, name: str) -> dict[str, Any]:
    """Objects a pixel as a 16-bit grey PNG, whose full value is the line's ``density_max``; with the count.

    Negative values, which some networks give, are 0 in the picture but part of the count.
    """
    largest = max(density.max().item(), 0.0) if density.numel() else 0.0
    levels = (density.double().clamp(min=0) / (largest or 1.0) * 65535).round().numpy().astype(np.uint16)
    picture = write_picture(Image.fromarray(levels), folder, name)
    return {"density": picture, "density_max": largest, "count": density.double().sum().item()}


def as_it_is(value: Tensor, size: Sequence[int]) -> Tensor:
    """What does not lie on the picture, whatever its size."""
    return value


def write_text(text: Int64[Tensor, "t"], labels: Any, folder: Path, name: str) -> dict[str, Any]:
    """The text of code points."""
    return {"text": "".join(chr(code) for code in text.tolist() if code >= 0)}


def write_token_confidence(
    confidence: Float[Tensor, "t"], labels: Any, folder: Path, name: str
) -> dict[str, list[float]]:
    """The probability of each token, without what fills the row up."""
    return {"token_confidence": confidence[~confidence.isnan()].tolist()}


def write_text_confidence(confidence: Float[Tensor, ""], labels: Any, folder: Path, name: str) -> dict[str, float]:
    """The probability of the whole."""
    return {"text_confidence": confidence.item()}


KINDS: dict[str, Kind] = {
    "mask": Kind(nearest_pixel, write_mask),
    "confidence": Kind(nearest_pixel, write_confidence),
    "edges": Kind(linear, write_edges),
    "density": Kind(resize_mass, write_density),
    "text": Kind(as_it_is, write_text),
    "token_confidence": Kind(as_it_is, write_token_confidence),
    "text_confidence": Kind(as_it_is, write_text_confidence),
    "table": Kind(as_it_is, write_table),
    "cell_boxes": Kind(as_it_is, write_cell_boxes, moved_boxes),
}
