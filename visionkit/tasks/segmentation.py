"""Semantic segmentation: a class for every pixel of a picture, or every voxel of a volume."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MetricCollection

from visionkit import drawing
from visionkit.errors import ConfigError, nearest
from visionkit.layers.blocks import CONV, DROPOUT, LINEAR_MODE
from visionkit.layers.strides import per_axis
from visionkit.layers.valid import real_size
from visionkit.metrics.segmentation import SegmentationMetrics, confusion_matrix, iou
from visionkit.types import (
    IGNORE_INDEX,
    Batch,
    Classes,
    Decoder,
    Features,
    Inference,
    Monitor,
    Prediction,
    Sample,
    Stride,
)

_FIGURES = ("miou", "pixel_accuracy", "mean_accuracy")


class Segmentation(nn.Module):
    """Decoder, a convolution to one score for each class, weighted losses, and mean IoU.

    Args:
        decoder: called as ``decoder(channels=, strides=, spatial_dims=)``.
        losses: named modules ``(logits, target) -> scalar`` with an attribute ``weight``; 0 switches one off.
        channels, strides, spatial_dims: what the encoder offers.
        labels: the classes of the dataset's masks.
        inference: whole-image procedure for evaluation and prediction, null for one plain pass.
        monitor: metric that checkpoints are compared by.
        dropout: share of the decoder's channels that training drops before the last convolution.
        head_kernel_size: odd size of the last convolution, which gives the scores.

    Raises ConfigError where there are no classes, no loss is switched on, or the monitored metric does not exist.
    """

    target: ClassVar[str] = "mask"

    def __init__(
        self,
        decoder: Callable[..., Decoder],
        losses: Mapping[str, nn.Module],
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int,
        labels: Classes | None,
        inference: Inference | None = None,
        monitor: Monitor | None = None,
        dropout: float = 0.0,
        head_kernel_size: int = 1,
    ) -> None:
        super().__init__()
        self.labels = _checked(labels)
        self.monitor = monitor or Monitor("miou", "max")
        _check_monitor(self.monitor.metric, self.labels)
        self.inference = inference
        self.losses = nn.ModuleDict({name: loss for name, loss in losses.items() if loss.weight != 0})
        if not self.losses:
            fix = f"give one of them a weight, such as losses.{next(iter(losses), 'cross_entropy')}.weight=1"
            raise ConfigError("C43", "task.losses", "every loss has weight 0", fix)
        self.decoder = decoder(channels=channels, strides=strides, spatial_dims=spatial_dims)
        self.dropout = DROPOUT[spatial_dims](dropout)
        self.head = CONV[spatial_dims](
            self.decoder.out_channels, len(self.labels), head_kernel_size, padding=head_kernel_size // 2
        )
        self.mode = LINEAR_MODE[spatial_dims]
        self.metrics = MetricCollection([SegmentationMetrics(len(self.labels))])

    def forward(self, features: Features, size: Sequence[int]) -> Float[Tensor, "b k *space"]:
        """Logits at ``size``: computed at the decoder's stride, enlarged linearly, the padding cut off."""
        logits = self.head(self.dropout(self.decoder(features)))
        scale = [float(length) for length in per_axis(self.decoder.stride, len(size))]
        if max(scale) > 1:
            logits = F.interpolate(logits, scale_factor=scale, mode=self.mode, align_corners=False)
        return logits[(slice(None), slice(None), *(slice(0, length) for length in size))]

    def loss(self, features: Features, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Every term that is switched on, times its weight."""
        target = _truth(batch)
        logits = self(features, target.shape[1:])
        return {name: loss.weight * loss(logits, target) for name, loss in self.losses.items()}

    def decide(self, outputs: Float[Tensor, "b k *space"], batch: Batch) -> Prediction:
        """The most probable class of each pixel (the first of several) and its softmax probability."""
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        best, mask = outputs.max(1)
        return {"mask": mask, "confidence": (best - outputs.logsumexp(1)).exp()}

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Adds the labelled pixels of a batch to the confusion matrix."""
        self.metrics.update(prediction["mask"], _truth(batch))

    def scores(self, prediction: Prediction, batch: Batch) -> list[float]:
        """Mean IoU of each sample over the classes true or predicted in it; 1 where nothing is labelled."""
        figures = [self._score(*pair) for pair in zip(prediction["mask"], _truth(batch), strict=True)]
        return [1.0 if math.isnan(figure) else figure for figure in figures]

    def draw(self, sample: Sample, prediction: Prediction | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """Image, truth and prediction side by side, and a legend of the classes that occur.

        The padding is cut off. Volumes are shown by their middle slice. Unlabelled pixels stay as they are.
        """
        image, masks = _real_part(sample, prediction)
        colors = self.labels.colors or drawing.palette(len(self.labels))
        captions = {"image": "image", "truth": "truth", "prediction": "prediction"}
        figure = self._score(masks["prediction"], masks["truth"]) if len(masks) == 2 else math.nan
        if not math.isnan(figure):
            captions["prediction"] += f", mean IoU {figure:.2f}"
        if image.ndim == 4:
            middle = image.shape[1] // 2
            image, masks = image[:, middle], {name: mask[middle] for name, mask in masks.items()}
        picture = drawing.fit(drawing.to_uint8_rgb(image))
        panels, seen = {captions["image"]: picture}, set()
        for name, mask in masks.items():
            panels[captions[name]] = drawing.overlay(picture, drawing.fit(mask.numpy()), colors)
            seen.update(mask.unique().tolist())
        shown = [index for index in range(len(self.labels)) if index in seen]
        names = [self.labels.names[index] for index in shown]
        return drawing.side_by_side(panels, names, [colors[index] for index in shown])

    def _score(self, mask: Int64[Tensor, "*space"], truth: Int64[Tensor, "*space"]) -> float:
        """Mean IoU, NaN where nothing is labelled."""
        return float(iou(confusion_matrix(mask, truth, len(self.labels))).nanmean())


def _truth(batch: Batch | Sample) -> Int64[Tensor, "b *space"]:
    """The mask, ignored where the picture is not real."""
    mask = batch["mask"]
    return mask.masked_fill(~batch["valid"], IGNORE_INDEX) if "valid" in batch else mask


def _real_part(sample: Sample, prediction: Prediction | None) -> tuple[Tensor, dict[str, Int64[Tensor, "*space"]]]:
    """Image and masks on the CPU without padding, which lies at the end of every axis."""
    image, masks = sample["image"].cpu(), {}
    if "mask" in sample:
        masks["truth"] = _truth(sample).cpu()
    if prediction is not None:
        masks["prediction"] = prediction["mask"].cpu()
    if "valid" in sample:
        real = tuple(slice(0, length) for length in real_size(sample["valid"]))
        image, masks = image[(slice(None), *real)], {name: mask[real] for name, mask in masks.items()}
    return image, masks


def _checked(labels: Classes | None) -> Classes:
    if labels is None:
        fix = "choose a dataset that has masks; `visionkit list` shows them"
        raise ConfigError("C40", "task.segmentation", "the dataset gives no classes for `mask`", fix)
    if len(labels) < 2:
        what = f"the dataset names {len(labels)} class for `mask`, so that there is nothing to decide"
        raise ConfigError("C46", "task.segmentation", what, "name two or more; one of them can be the background")
    return labels


def _check_monitor(metric: str, labels: Classes) -> None:
    choices = [*_FIGURES, *(f"{name}/{label}" for name in ("iou", "accuracy") for label in labels.names)]
    if metric not in choices:
        raise ConfigError("C47", "task.monitor.metric", f"there is no {metric!r}", nearest(metric, choices))
