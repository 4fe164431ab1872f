"""Semantic segmentation: a class for every pixel of a picture, or every voxel of a volume."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torchmetrics import MetricCollection

from visionkit.errors import ConfigError
from visionkit.labels import Classes
from visionkit.layers.blocks import CONV, DROPOUT
from visionkit.metrics.collections import by_pixel
from visionkit.metrics.overlap import dice
from visionkit.metrics.segmentation import confusion_matrix, iou
from visionkit.tasks import panels
from visionkit.tasks.heads import DeepSupervision, enlarged
from visionkit.tasks.options import check_monitor, switched_on
from visionkit.types import IGNORE_INDEX, Batch, Decoder, Features, Inference, Monitor, Prediction, Sample


class Segmentation(nn.Module):
    """Decoder, a convolution to one score for each class, weighted losses, and metrics.

    Args:
        decoder: called as ``decoder(channels=, strides=, spatial_dims=)``.
        losses: named modules ``(logits, target) -> scalar`` with an attribute ``weight``; 0 switches one off.
        channels, strides, spatial_dims: what the encoder offers.
        labels: the classes of the dataset's masks.
        inference: whole-image procedure for evaluation and prediction, null for one plain pass.
        monitor: metric that checkpoints are compared by.
        dropout: share of the decoder's channels that training drops before the last convolution.
        head_kernel_size: odd size of the last convolution, which gives the scores.
        head_bias: whether it has one.
        metrics: called with the classes; ``by_pixel`` by default. ``by_case`` is for volumes.
        deep_supervision: weights of the loss on the decoder's maps in training, finest first, as ``DeepSupervision``.

    Raises ConfigError where there are no classes, no loss is switched on, or the monitored metric does not exist.
    """

    target: ClassVar[str] = "mask"
    pointwise: ClassVar[bool] = True

    def __init__(
        self,
        decoder: Callable[..., Decoder],
        losses: Mapping[str, nn.Module],
        channels: Sequence[int],
        strides: Sequence[int],
        spatial_dims: int,
        labels: Classes | None,
        inference: Inference | None = None,
        monitor: Monitor | None = None,
        dropout: float = 0.0,
        head_kernel_size: int = 1,
        head_bias: bool = True,
        metrics: Callable[[Classes], MetricCollection] = by_pixel,
        deep_supervision: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.labels = _checked(labels)
        self.metrics = metrics(self.labels)
        self.monitor = monitor or Monitor("miou", "max")
        check_monitor(self.monitor.metric, self.metrics, "C47", self.labels.names)
        self.score_name, self.score = _SCORES[spatial_dims]
        self.inference = inference
        self.losses = switched_on(losses, "C43", "cross_entropy")
        self.decoder = decoder(channels=channels, strides=strides, spatial_dims=spatial_dims)
        self.dropout = DROPOUT[spatial_dims](dropout)
        classes, padding = len(self.labels), head_kernel_size // 2
        self.head = CONV[spatial_dims](
            self.decoder.out_channels, classes, head_kernel_size, padding=padding, bias=head_bias
        )
        self.deep: DeepSupervision | None = None
        if deep_supervision:
            self.deep = DeepSupervision(self.decoder, deep_supervision, classes, spatial_dims, head_bias)

    def forward(self, features: Features, size: Sequence[int]) -> Float[Tensor, "b k *space"]:
        """Logits at ``size``: computed at the decoder's stride, enlarged linearly, the padding cut off."""
        return self._scores(self.decoder(features), size)

    def loss(self, features: Features, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Every term that is switched on, times its weight; with deep supervision its mean over the maps."""
        target = _truth(batch)
        size = target.shape[1:]
        if self.deep is None:
            shares, pairs = [1.0], [(self(features, size), target)]
        else:
            maps = self.decoder.deep(features)  # type: ignore[attr-defined]
            shares, pairs = self.deep.weights, [(self._scores(maps[0], size), target), *self.deep(maps, target)]
        return {
            name: loss.weight * sum(share * loss(*pair) for share, pair in zip(shares, pairs, strict=True))
            for name, loss in self.losses.items()
        }

    def decide(self, outputs: Float[Tensor, "b k *space"], batch: Batch) -> Prediction:
        """The most probable class of each pixel (the first of several) and its softmax probability."""
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        best, mask = outputs.max(1)
        return {"mask": mask, "confidence": (best - outputs.logsumexp(1)).exp()}

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Adds a batch to the metrics; they leave out what is not labelled."""
        truth = _truth(batch)
        self.metrics.update(prediction["mask"].to(truth.device), truth, spacing_mm=batch.get("spacing_mm"))

    def scores(self, prediction: Prediction, batch: Batch) -> list[float]:
        """Of each picture the mean IoU, of each volume the mean Dice without background; 1 where there is nothing."""
        figures = [self._score(*pair) for pair in zip(prediction["mask"], _truth(batch), strict=True)]
        return [1.0 if math.isnan(figure) else figure for figure in figures]

    def draw(self, sample: Sample, prediction: Prediction | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """Image, truth and prediction side by side, and a legend of the classes that occur.

        The padding is cut off. Volumes are shown by three planes. Unlabelled pixels stay as they are.
        """
        truth = _truth(sample) if "mask" in sample else None
        image, masks = panels.real_part(sample, truth, prediction)
        captions = {"image": "image", "truth": "truth", "prediction": "prediction"}
        figure = self._score(masks["prediction"], masks["truth"]) if len(masks) == 2 else math.nan
        if not math.isnan(figure):
            captions["prediction"] += f", {self.score_name} {figure:.2f}"
        if image.ndim == 3:
            return panels.of_picture(image, masks, captions, self.labels)
        spacing = sample["spacing_mm"].tolist() if "spacing_mm" in sample else [1.0] * 3
        return panels.of_volume(image, masks, captions, self.labels, spacing)

    def _scores(self, finest: Float[Tensor, "b c *coarse"], size: Sequence[int]) -> Float[Tensor, "b k *space"]:
        return enlarged(self.head(self.dropout(finest)), self.decoder.stride, size)

    def _score(self, mask: Int64[Tensor, "*space"], truth: Int64[Tensor, "*space"]) -> float:
        """Figure of one sample, NaN where nothing is labelled."""
        return self.score(confusion_matrix(mask.to(truth.device), truth, len(self.labels)))


def mean_iou(confusion: Int64[Tensor, "k k"]) -> float:
    """Over the classes true or predicted; NaN where there are none."""
    return float(iou(confusion).nanmean())


def mean_dice(confusion: Int64[Tensor, "k k"]) -> float:
    """Over the classes true or predicted, without the background; NaN where there are none."""
    return float(dice(confusion)[1:].nanmean())


_SCORES = {2: ("mean IoU", mean_iou), 3: ("mean Dice", mean_dice)}
"""What one sample is judged by, by the number of spatial dimensions."""


def _truth(batch: Batch | Sample) -> Int64[Tensor, "b *space"]:
    """The mask, ignored where the picture is not real."""
    mask = batch["mask"]
    return mask.masked_fill(~batch["valid"], IGNORE_INDEX) if "valid" in batch else mask


def _checked(labels: Classes | None) -> Classes:
    if labels is None:
        fix = "choose a dataset that has masks; `visionkit list` shows them"
        raise ConfigError("C40", "task.segmentation", "the dataset gives no classes for `mask`", fix)
    if len(labels) < 2:
        what = f"the dataset names {len(labels)} class for `mask`, so that there is nothing to decide"
        raise ConfigError("C46", "task.segmentation", what, "name two or more; one of them can be the background")
    return labels
