"""Samples to a batch: strings to lists, tensors of different sizes padded to the largest."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from visionkit.errors import DataError
from visionkit.types import IGNORE_INDEX, Batch, Sample

_FILL = {"mask": IGNORE_INDEX, "edges": IGNORE_INDEX}
"""What a target is padded with where it is not 0."""
_RAGGED = {"points"}
"""What stays a list, for there is more of it in some samples than in others."""


def collate(samples: Sequence[Sample], width_step_px: int = 1) -> Batch:
    """Batch of samples, padded right and below (lines of text by their paper); ``valid`` is made where samples lack it.

    Args:
        samples: with the same targets.
        width_step_px: lines of text that differ in width are padded to a multiple of it, so that batches come in few
            shapes.

    Raises:
        DataError: D31 samples that carry different targets or channels, D32 no samples.
    """
    if not samples:
        fix = "run visionkit check to see why"
        raise DataError("D32", "", "not one sample of the batch could be read", fix)
    rows: list[dict[str, Any]] = [{"valid": _all_valid(sample), **sample} for sample in samples]
    first = rows[0]
    for row in rows:
        if row.keys() != first.keys() or row["image"].shape[0] != first["image"].shape[0]:
            what = f"carries {_carried(row)}, but {first.get('key')} carries {_carried(first)}"
            raise DataError("D31", row.get("path") or row.get("key", ""), what, "put them in datasets of their own")
    batch: dict[str, Any] = {name: [row[name] for row in rows] for name in first}
    if "text" in first:
        batch["image"] = _with_paper(batch["image"], width_step_px)
        batch["valid"] = [_wider(valid, batch["image"][0].shape[2]) for valid in batch["valid"]]
    for name, values in batch.items():
        if isinstance(values[0], Tensor) and name not in _RAGGED:
            batch[name] = _pad(values, _FILL.get(name, 0))
    return batch  # type: ignore[return-value]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors, and those in its lists, on a device; everything else as it is."""

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) if isinstance(item, Tensor) else item for item in value]
        return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value

    return {name: moved(value) for name, value in batch.items()}  # type: ignore[return-value]


def _all_valid(sample: Sample) -> Tensor:
    return torch.ones(sample["image"].shape[1:], dtype=torch.bool)


def _carried(row: dict[str, Any]) -> str:
    return f"{', '.join(row)} with {row['image'].shape[0]} channels"


def _with_paper(images: list[Tensor], step: int) -> list[Tensor]:
    """Pictures of lines as large as the largest: their last column and row are repeated, as paper goes on."""
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    if any(image.shape[2] < width for image in images):
        width = -(-width // step) * step
    rows, columns = torch.arange(height), torch.arange(width)
    return [
        image[:, rows.clamp(max=image.shape[1] - 1)[:, None], columns.clamp(max=image.shape[2] - 1)] for image in images
    ]


def _wider(valid: Tensor, width: int) -> Tensor:
    return torch.cat([valid, valid.new_zeros(len(valid), width - valid.shape[1])], 1)


def _pad(values: list[Tensor], fill: int) -> Tensor:
    largest = [max(sizes) for sizes in zip(*(value.shape for value in values), strict=True)]
    batch = values[0].new_full((len(values), *largest), fill)
    for row, value in zip(batch, values, strict=True):
        row[tuple(slice(size) for size in value.shape)] = value
    return batch
