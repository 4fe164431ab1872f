"""One sample, and what was predicted of it, out of a batch: on the CPU and without the padding of batching."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from visionkit.layers.valid import real_size
from visionkit.types import Batch, Prediction, Sample


def sample_of(batch: Batch, index: int) -> Sample:
    """The ``index``-th sample as it was before collation."""
    return cast(Sample, _unbatch(batch, batch, index))


def prediction_of(prediction: Prediction, batch: Batch, index: int) -> Prediction:
    """What was predicted of the ``index``-th sample; maps of the batch's size are cut to the sample's."""
    return cast(Prediction, _unbatch(prediction, batch, index))


def _unbatch(values: Mapping[str, Any], batch: Batch, index: int) -> dict[str, Any]:
    padded = tuple(batch["image"].shape[2:])
    size = real_size(batch["valid"][index]) if "valid" in batch else padded
    return {name: _entry(value[index], isinstance(value, Tensor), padded, size) for name, value in values.items()}


def _entry(entry: Any, stacked: bool, padded: tuple[int, ...], size: tuple[int, ...]) -> Any:
    if not isinstance(entry, Tensor):
        return entry
    if stacked and tuple(entry.shape[-len(padded) :]) == padded:  # lists are ragged: points are no maps
        entry = entry[(..., *[slice(length) for length in size])]  # type: ignore[index]
    entry = entry.detach().cpu()
    return entry.float() if entry.dtype in (torch.bfloat16, torch.float16) else entry  # numpy knows no bfloat16
