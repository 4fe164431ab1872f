"""Changes of a sample: resizing, and the one adapter between samples and albumentations.

A target travels through albumentations in the form that its Target says; another kind of target is one
more entry of ``_TARGETS``.
"""

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, NamedTuple

# Else the import asks a server for a newer version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2
import numpy as np
import torch
from albumentations.core.composition import BaseCompose, TransformType
from torch import Tensor

from visionkit.datasets.table_boxes import scaled
from visionkit.errors import ConfigError, DataError
from visionkit.layers.points import inside
from visionkit.layers.resize import nearest_index, resize_lines
from visionkit.types import IGNORE_INDEX, Sample

_RESIZING = (
    albumentations.LongestMaxSize,
    albumentations.RandomResizedCrop,
    albumentations.RandomScale,
    albumentations.RandomSizedBBoxSafeCrop,
    albumentations.RandomSizedCrop,
    albumentations.Resize,
    albumentations.SmallestMaxSize,
)
"""What resizes by ``cv2.resize``, whose INTER_NEAREST puts masks half a pixel to the right of and below their picture.
Warps round rightly with INTER_NEAREST, and know no other."""
_PADDED, _UNKNOWN, _FIRST = 0, 1, 2
"""Codes of a mask on its way: 0 is what every transform fills with by itself."""


class Resize:
    """Brings a sample to one size; nothing is random.

    The image shrinks by the mean of areas and grows bilinearly, axis by axis; mask and valid take the
    nearest pixel by centres; lines of edges are kept whole; points and boxes of cells move along. A sample that has the
    size already is returned as it is.

    Args:
        size: height and width in pixels.
    """

    def __init__(self, size: Sequence[int]) -> None:
        if len(size) != 2 or min(size) < 1:
            raise ConfigError("C54", "dataset.size", f"{list(size)} is no size", "write [height, width] in pixels")
        self.size = (int(size[0]), int(size[1]))

    def resized(self, size: Sequence[int]) -> tuple[int, int]:
        """Height and width of the result, whatever they were."""
        return self.size

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c h w to c *size; ``rng`` is not used. Raises ConfigError C54 for a volume."""
        if sample["image"].ndim != 3:
            fix = "set it to null; volumes are resampled by dataset.layout.spacing_mm"
            raise ConfigError("C54", f"dataset.size={list(self.size)}", "is of pictures, and this is a volume", fix)
        old = tuple(sample["image"].shape[1:])
        if old == self.size:
            return sample
        rows, columns = (nearest_index(before, after) for before, after in zip(old, self.size, strict=True))
        planes: dict[str, Any] = {
            key: sample[key][rows[:, None], columns] for key in ("mask", "valid") if key in sample
        }
        if "edges" in sample:
            planes["edges"] = resize_lines(sample["edges"], self.size)
        if "table" in sample:
            planes["table"] = scaled(sample["table"], *(new / old for new, old in zip(self.size, old, strict=True)))
        if "points" in sample:
            factors = [after / before for before, after in zip(old, self.size, strict=True)]
            planes["points"] = sample["points"] * torch.tensor(factors[::-1], dtype=torch.float32)
        return {**sample, **planes, "image": _tensor(self._resize(_array(sample["image"])))}  # type: ignore[return-value,typeddict-item]

    def _resize(self, image: np.ndarray) -> np.ndarray:
        height, width = self.size
        smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


class Augment:
    """Applies transforms of albumentations to image, mask and valid alike.

    All randomness comes from the generator given with each sample, so workers and order change nothing.
    Masks are always sampled by the nearest pixel, by centres. Whatever a transform fills a mask with is IGNORE_INDEX
    and not valid; ``fill_mask`` of a transform only says whether it fills at all. Points that lie outside the picture
    or leave it are dropped; a transform that resizes may put them half a pixel off.

    Args:
        transforms: by name (None switches one off), or in a list.

    Raises:
        ConfigError: C55 unknown argument of a transform, C56 a transform that cannot be used here.
    """

    def __init__(self, transforms: Mapping[str, TransformType | None] | Sequence[TransformType]) -> None:
        named = transforms if isinstance(transforms, Mapping) else {str(i): t for i, t in enumerate(transforms)}
        self._names = {name: deepcopy(transform) for name, transform in named.items() if transform is not None}
        for name, transform in self._names.items():
            for part in _parts(transform):
                _prepare(name, part)
        self._moving = [name for name, transform in self._names.items() if any(map(_moves, _parts(transform)))]
        self._compose = albumentations.Compose(
            list(self._names.values()),
            additional_targets={key: target.kind for key, target in _TARGETS.items()},
            mask_interpolation=cv2.INTER_NEAREST,
            keypoint_params=albumentations.KeypointParams("xy", remove_invisible=False),
        )
        for part in chain.from_iterable(map(_parts, self._names.values())):
            if isinstance(part, _RESIZING):
                part.mask_interpolation = cv2.INTER_NEAREST_EXACT

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample changed; the given one stays as it is.

        Raises:
            DataError: D30 a transform cannot be applied to this picture (a crop that is larger than it).
            ConfigError: C56 a transform changed the kind of the image's numbers or its channels, C207 one that moves
                pixels, on a table.
        """
        if "table" in sample and self._moving:
            what = "moves pixels, which would break rows, columns and boxes of a table"
            raise ConfigError("C207", f"dataset.augment.{self._moving[0]}", what, "use transforms of colour alone")
        self._compose.set_random_state(rng, random.Random(int(rng.integers(2**63))))
        image = _array(sample["image"]).copy()
        coded = {key: target.encode(sample) for key, target in _TARGETS.items() if target.always or key in sample}
        try:
            changed = self._compose(image=image, **coded)
        except Exception as error:  # whatever an outside transform raises is about this sample and this option
            raise self._explain(sample, error) from error
        output = changed["image"]
        if not isinstance(output, np.ndarray) or output.dtype != image.dtype or _tensor(output).ndim != 3:
            raise self._wrong_output(output)
        new: dict[str, Any] = {**sample, "image": _tensor(output)}
        for key in coded:
            new.update(_TARGETS[key].decode(changed[key], sample))
        if new["image"].shape[0] != image.shape[2]:
            raise self._wrong_output(output)
        if "points" in new:
            new["points"] = new["points"][inside(new["points"], new["image"].shape[1:])]
        return new  # type: ignore[return-value]

    def _explain(self, sample: Sample, error: Exception) -> DataError:
        frames, name = error.__traceback__, "augment"
        while frames is not None:
            caller = frames.tb_frame.f_locals.get("self")
            name = next((f"augment.{name}" for name, part in self._names.items() if part is caller), name)
            frames = frames.tb_next
        height, width = sample["image"].shape[1:]
        what = (
            f"dataset.{name} fails on this picture of {width} x {height} pixels ({' '.join(str(error).split())[:160]})"
        )
        return DataError("D30", sample.get("path") or sample.get("key", ""), what, "change or remove the transform")

    def _wrong_output(self, output: Any) -> ConfigError:
        what = f"the transforms {', '.join(self._names)} return {getattr(output, 'dtype', type(output).__name__)}"
        what += f" of shape {tuple(output.shape)} instead of 8-bit pictures with unchanged channels"
        fix = "remove Normalize, ToFloat and ToTensorV2: the encoder normalises"
        return ConfigError("C56", "dataset.augment", what, fix)


class Target(NamedTuple):
    """How a target passes through albumentations."""

    kind: str
    """What albumentations takes it for: mask, keypoints or bboxes."""
    encode: Callable[[Sample], Any]
    decode: Callable[[Any, Sample], dict[str, Tensor]]
    always: bool = False
    """Whether it passes even where a sample lacks the target."""


def _encode_mask(sample: Sample) -> np.ndarray:
    """Mask and valid in one plane, h w: uint8 where the classes fit, else float32 (exact to 2**24)."""
    height, width = sample["image"].shape[1:]
    if "mask" not in sample:
        plane = np.full((height, width), _FIRST, dtype=np.uint8)
    else:
        mask = sample["mask"].numpy() + _FIRST
        plane = mask.astype(np.uint8 if mask.max(initial=0) <= 255 else np.float32)
    if "valid" in sample:
        plane[~sample["valid"].numpy()] = _PADDED
    return plane


def _decode_mask(plane: np.ndarray, sample: Sample) -> dict[str, Tensor]:
    valid = {"valid": torch.from_numpy(plane != _PADDED)}
    if "mask" not in sample:
        return valid
    return {"mask": torch.from_numpy(plane.astype(np.int64)).sub_(_FIRST).clamp_(min=IGNORE_INDEX), **valid}


def _encode_edges(sample: Sample) -> np.ndarray:
    """Annotators as the channels of one plane, h w a."""
    return _array(sample["edges"] + _FIRST).astype(np.uint8)


def _decode_edges(plane: np.ndarray, sample: Sample) -> dict[str, Tensor]:
    return {"edges": _tensor(plane).to(torch.int8).sub_(_FIRST).clamp_(min=IGNORE_INDEX)}


def _encode_points(sample: Sample) -> np.ndarray:
    """Places of the points inside as albumentations counts them, the first pixel's centre at 0."""
    points = sample["points"]
    return points[inside(points, sample["image"].shape[1:])].numpy() - np.float32(0.5)


def _decode_points(places: np.ndarray, sample: Sample) -> dict[str, Tensor]:
    return {"points": torch.from_numpy(np.asarray(places, np.float32).reshape(-1, 2) + np.float32(0.5))}


_TARGETS: dict[str, Target] = {
    "mask": Target("mask", _encode_mask, _decode_mask, always=True),
    "edges": Target("mask", _encode_edges, _decode_edges),
    "points": Target("keypoints", _encode_points, _decode_points),
}


def _parts(transform: TransformType) -> Iterator[Any]:
    if isinstance(transform, BaseCompose):
        for part in transform.transforms:
            yield from _parts(part)
    else:
        yield transform


def _moves(transform: Any) -> bool:
    return not isinstance(transform, albumentations.ImageOnlyTransform | albumentations.NoOp)


def _prepare(name: str, transform: Any) -> None:
    """Checks a transform and makes it treat codes as it would treat classes."""
    place = f"dataset.augment.{name}"
    kind = type(transform).__name__
    if not isinstance(transform, albumentations.BasicTransform):
        raise ConfigError("C56", place, f"{kind} is no transform", "name a class of albumentations in _target_")
    if transform.invalid_args:
        what = f"{kind} has no argument {', '.join(transform.invalid_args)}"
        raise ConfigError("C55", place, what, "see its documentation at albumentations.ai")
    if hasattr(transform, "ignore_values"):
        ignored = transform.ignore_values or []
        transform.ignore_values = [_UNKNOWN, *(value + _FIRST for value in {0, *ignored})]
    elif "mask" in transform.targets_as_params:
        raise ConfigError("C56", place, f"{kind} looks at values of the mask", "remove it")
    if getattr(transform, "fill_mask", None) is not None:
        transform.fill_mask = float(_PADDED)
    if getattr(transform, "area_for_downscale", None) == "image_mask":
        transform.area_for_downscale = "image"


def _array(image: Tensor) -> np.ndarray:
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def _tensor(image: np.ndarray) -> Tensor:
    image = image[..., None] if image.ndim == 2 else image
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
