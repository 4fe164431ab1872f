"""Counting: the density of objects at every pixel, learnt from a point on each; its sum is the count."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torchmetrics import MetricCollection

from visionkit.errors import ConfigError
from visionkit.inference import MultiScale
from visionkit.labels import Objects
from visionkit.layers.dims import require_pictures
from visionkit.layers.mass import spread
from visionkit.layers.points import inside
from visionkit.losses.density_targets import Crowds, sizes_of
from visionkit.metrics.counting import counting
from visionkit.tasks import counting_panels
from visionkit.tasks.options import check_monitor, switched_on
from visionkit.types import Batch, Decoder, Features, Inference, Monitor, Prediction, Sample


class Counting(nn.Module):
    """A decoder that gives density, losses that make their own targets from points, and metrics.

    The decoder's cells hold objects. Enlarged to the picture, a cell's objects are spread over those of its pixels that
    lie inside; a cell wholly beyond the picture, which only padding brings about, is neither counted nor learnt from.
    Pictures of different sizes are meant to be evaluated one by one: in a batch a cell across the border of a smaller
    one has pixels in its padding, too, and what falls to these is not counted.

    Args:
        decoder: called as ``decoder(channels=, strides=, spatial_dims=)``; gives the density in objects a cell and, if
            it has two channels, the logit of being near an object.
        losses: named modules ``(maps b k rows columns, crowds) -> scalar`` with attributes ``weight`` (0 switches one
            off) and ``channels`` (of the maps that it needs).
        channels, strides, spatial_dims: what the encoder offers.
        labels: what is counted.
        metrics: called with the labels.
        inference: whole-image procedure for evaluation and prediction, null for one plain pass.
        monitor: metric that checkpoints are compared by.

    Raises ConfigError: C83 volumes, C130 the dataset has no points, C131 no loss is switched on, C132 the monitored
    metric does not exist, C133 the decoder has neither one channel nor two, C134 a loss needs more channels than it
    has, C135 an inference procedure that does not keep counts.
    """

    target: ClassVar[str] = "points"
    pointwise: ClassVar[bool] = True

    def __init__(
        self,
        decoder: Callable[..., Decoder],
        losses: Mapping[str, nn.Module],
        channels: Sequence[int],
        strides: Sequence[int],
        spatial_dims: int,
        labels: Objects | None,
        metrics: Callable[[Objects], MetricCollection] = counting,
        inference: Inference | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        super().__init__()
        require_pictures(type(self).__name__, spatial_dims)
        if labels is None:
            fix = "choose a dataset that has points; `visionkit list` shows them"
            raise ConfigError("C130", "task.counting", "the dataset says nothing of `points`", fix)
        if _averages_scales(inference):
            what = "MultiScale averages densities of several sizes, whose sums differ"
            fix = "take visionkit.tasks.counting_inference.FitToGrid with a scale"
            raise ConfigError("C135", "task.inference", what, fix)
        self.labels, self.inference = labels, inference
        self.metrics = metrics(labels)
        self.monitor = monitor or Monitor("mae", "min")
        check_monitor(self.monitor.metric, self.metrics, "C132")
        self.losses = switched_on(losses, "C131", "density")
        self.decoder = decoder(channels=channels, strides=strides, spatial_dims=spatial_dims)
        self._check_decoder()

    def forward(self, features: Features, size: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """Objects a pixel at ``size``."""
        maps = self.decoder(features)[:, :1]
        maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
        return spread(maps, self.decoder.stride, size)

    def loss(self, features: Features, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Every term that is switched on, times its weight."""
        maps = self.decoder(features)
        crowds = Crowds.of(batch, self.decoder.stride, maps)
        return {name: loss.weight * loss(maps, crowds) for name, loss in self.losses.items()}

    def decide(self, outputs: Float[Tensor, "b 1 h w"], batch: Batch) -> Prediction:
        """The density."""
        return {"density": outputs[:, 0]}

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Adds each picture without its padding to the metrics."""
        for density, points in _pictures(prediction, batch):
            self.metrics.update(density, points)

    def scores(self, prediction: Prediction, batch: Batch) -> list[float]:
        """Of each picture the negative absolute error of its count."""
        return [-abs(float(density.double().sum()) - len(points)) for density, points in _pictures(prediction, batch)]

    def draw(self, sample: Sample, prediction: Prediction | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """Image, density over the image with its count, and the points with theirs, side by side."""
        found = None if prediction is None else prediction["density"]
        return counting_panels.row(sample, found, self.labels.name)

    def _check_decoder(self) -> None:
        have = self.decoder.out_channels
        if have not in (1, 2):
            what = f"the decoder gives {have} channels; density is one, with attention it is two"
            raise ConfigError("C133", "task.decoder", what, "put it as `path` into visionkit.decoders.density.Density")
        parts: dict[str, Any] = dict(self.losses.items())
        for name, loss in parts.items():
            if loss.channels > have:
                fix = f"set losses.{name}.weight=0, or give the decoder attention"
                raise ConfigError("C134", f"task.losses.{name}", "the decoder gives no attention", fix)


def _averages_scales(inference: Any) -> bool:
    """Whether a procedure is MultiScale, or one inside it is."""
    while inference is not None and not isinstance(inference, MultiScale):
        inference = getattr(inference, "inner", None)
    return inference is not None


def _pictures(prediction: Prediction, batch: Batch) -> Iterator[tuple[Float[Tensor, "h w"], Float[Tensor, "n 2"]]]:
    """Density and points of each picture, both without what lies beyond it."""
    for density, points, size in zip(prediction["density"], batch["points"], sizes_of(batch), strict=True):
        yield density[: size[0], : size[1]], points[inside(points, size)]
