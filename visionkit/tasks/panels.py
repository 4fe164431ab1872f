"""Pictures of masks: image, truth and prediction beside each other; volumes by three planes."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor

from visionkit import drawing, planes
from visionkit.labels import Classes
from visionkit.layers.valid import real_size
from visionkit.types import Prediction, Sample


def real_part(
    sample: Sample, truth: Tensor | None, prediction: Prediction | None
) -> tuple[Tensor, dict[str, Int64[Tensor, "*space"]]]:
    """Image and masks on the CPU without padding, which lies at the end of every axis."""
    image, masks = sample["image"].cpu(), {}
    if truth is not None:
        masks["truth"] = truth.cpu()
    if prediction is not None:
        masks["prediction"] = prediction["mask"].cpu()
    if "valid" in sample:
        real = tuple(slice(0, length) for length in real_size(sample["valid"]))
        image, masks = image[(slice(None), *real)], {name: mask[real] for name, mask in masks.items()}
    return image, masks


def of_picture(
    image: Tensor, masks: Mapping[str, Int64[Tensor, "h w"]], captions: Mapping[str, str], labels: Classes
) -> UInt8[np.ndarray, "height width 3"]:
    """The image and each mask laid over it in a row, and a legend of the classes that occur."""
    names, colors = _occurring(masks, labels)
    panels = _row(image, {name: mask.numpy() for name, mask in masks.items()}, captions, labels)
    return drawing.side_by_side(panels, names, colors)


def of_volume(
    image: Tensor,
    masks: Mapping[str, Int64[Tensor, "d h w"]],
    captions: Mapping[str, str],
    labels: Classes,
    spacing_mm: Sequence[float],
) -> UInt8[np.ndarray, "height width 3"]:
    """A row as ``of_picture`` for each plane, through the largest cross-sections of the first mask's foreground."""
    names, colors = _occurring(masks, labels)
    arrays = {name: mask.numpy() for name, mask in masks.items()}
    places = planes.largest(next(iter(arrays.values()), np.zeros(image.shape[1:], int)) > 0)
    rows = []
    for plane, place in zip(planes.PLANES, places, strict=True):
        cut = {name: plane.cut(mask, place, spacing_mm) for name, mask in arrays.items()}
        seen = {"image": f"{plane.name}, {captions['image']}"} if plane is planes.PLANES[0] else {"image": plane.name}
        panels = _row(plane.cut_image(image, place, spacing_mm), cut, {**captions, **seen}, labels)
        last = plane is planes.PLANES[-1]
        rows.append(drawing.side_by_side(panels, names if last else (), colors if last else ()))
    return drawing.stacked(rows)


def _row(
    image: Tensor, masks: Mapping[str, np.ndarray], captions: Mapping[str, str], labels: Classes
) -> dict[str, np.ndarray]:
    colors = labels.colors or drawing.palette(len(labels))
    picture = drawing.fit(drawing.to_uint8_rgb(image))
    overlays = {captions[name]: drawing.overlay(picture, drawing.fit(mask), colors) for name, mask in masks.items()}
    return {captions["image"]: picture, **overlays}


def _occurring(masks: Mapping[str, Tensor], labels: Classes) -> tuple[list[str], list[drawing.Color]]:
    colors = labels.colors or drawing.palette(len(labels))
    seen = {index for mask in masks.values() for index in mask.unique().tolist()}
    shown = [index for index in range(len(labels)) if index in seen]
    return [labels.names[index] for index in shown], [colors[index] for index in shown]
