"""Edge detection: the probability of an edge at every pixel, learnt from the drawings of several annotators."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor, nn
from torchmetrics import MetricCollection

from visionkit.errors import ConfigError
from visionkit.labels import Edges
from visionkit.layers.valid import real_size
from visionkit.losses.edge_targets import consensus
from visionkit.metrics.edges import picture_f, protocol
from visionkit.tasks import edge_panels
from visionkit.tasks.edge_truth import Truth, known_target
from visionkit.tasks.heads import enlarged
from visionkit.tasks.options import check_monitor, switched_on
from visionkit.types import IGNORE_INDEX, Batch, Decoder, Features, Inference, Monitor, Prediction, Sample


class EdgeDetection(nn.Module):
    """A decoder with one channel, losses on it and on its side outputs, and metrics.

    Args:
        decoder: called as ``decoder(channels=, strides=, spatial_dims=)``; gives logits.
        losses: named modules ``(logits b h w, target b h w) -> scalar`` with an attribute ``weight``; 0 switches one
            off.
        channels, strides, spatial_dims: what the encoder offers.
        labels: how the dataset's edges are judged.
        truth: the target from the share of the annotators (see ``losses.edge_targets``).
        metrics: called with the labels.
        inference: whole-image procedure for evaluation and prediction, null for one plain pass.
        monitor: metric that checkpoints are compared by.
        side_weight: of the loss on each side output beside that on the fused one, in training.

    Raises ConfigError: C120 the dataset has no edges, C121 no loss is switched on, C122 the monitored metric does not
    exist, C123 the decoder has more than one channel.
    """

    target: ClassVar[str] = "edges"
    pointwise: ClassVar[bool] = True

    def __init__(
        self,
        decoder: Callable[..., Decoder],
        losses: Mapping[str, nn.Module],
        channels: Sequence[int],
        strides: Sequence[int],
        spatial_dims: int,
        labels: Edges | None,
        truth: Truth = consensus,
        metrics: Callable[[Edges], MetricCollection] = protocol,
        inference: Inference | None = None,
        monitor: Monitor | None = None,
        side_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if labels is None:
            fix = "choose a dataset that has edges; `visionkit list` shows them"
            raise ConfigError("C120", "task.edges", "the dataset says nothing of `edges`", fix)
        self.labels, self.truth, self.inference, self.side_weight = labels, truth, inference, side_weight
        self.metrics = metrics(labels)
        self.monitor = monitor or Monitor("ods", "max")
        check_monitor(self.monitor.metric, self.metrics, "C122")
        self.losses = switched_on(losses, "C121", "balanced_bce")
        self.decoder = decoder(channels=channels, strides=strides, spatial_dims=spatial_dims)
        if self.decoder.out_channels != 1:
            what = f"the decoder gives {self.decoder.out_channels} channels, and an edge is one"
            fix = "put it as `path` into visionkit.decoders.sides.Sides"
            raise ConfigError("C123", "task.decoder", what, fix)

    def forward(self, features: Features, size: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """Logits at ``size``: computed at the decoder's stride, enlarged bilinearly, the padding cut off."""
        return enlarged(self.decoder(features), self.decoder.stride, size)

    def loss(self, features: Features, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Every term that is switched on, times its weight: its mean over the fused output and the side outputs."""
        target = known_target(batch, self.truth)
        outputs = self._outputs(features, target.shape[1:])
        shares = [1.0, *[self.side_weight] * (len(outputs) - 1)]
        return {
            name: loss.weight
            * sum(share * loss(logits, target) for share, logits in zip(shares, outputs, strict=True))
            / sum(shares)
            for name, loss in self.losses.items()
        }

    def decide(self, outputs: Float[Tensor, "b 1 h w"], batch: Batch) -> Prediction:
        """The probability of an edge."""
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        return {"edges": outputs[:, 0].sigmoid()}

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Adds each picture without its padding to the metrics, for the tolerance depends on its size."""
        for found, drawn in _pictures(prediction, batch):
            self.metrics.update(found[None], drawn[None])

    def scores(self, prediction: Prediction, batch: Batch) -> list[float]:
        """Of each picture F at its own best threshold."""
        return [picture_f(found, drawn, self.labels.tolerance) for found, drawn in _pictures(prediction, batch)]

    def draw(self, sample: Sample, prediction: Prediction | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """Image, probability, thinned edges and the annotators' drawings side by side, the padding cut off."""
        drawn = _known(sample) if "edges" in sample else None
        found = None if prediction is None else prediction["edges"]
        return edge_panels.row(sample, found, drawn, self.labels.tolerance)

    def _outputs(self, features: Features, size: Sequence[int]) -> list[Float[Tensor, "b h w"]]:
        """Logits of the fused output and, where they are supervised, of the sides."""
        if not self.side_weight or not hasattr(self.decoder, "deep"):
            return [self(features, size)[:, 0]]
        maps: Any = zip(self.decoder.deep(features), self.decoder.deep_strides, strict=True)  # type: ignore[attr-defined]
        return [enlarged(logits, stride, size)[:, 0] for logits, stride in maps]


def _known(batch: Batch | Sample) -> Int8[Tensor, "*b a h w"]:
    """The annotators' maps, unknown where the picture is not real."""
    edges = batch["edges"]
    return edges.masked_fill(~batch["valid"].unsqueeze(-3), IGNORE_INDEX) if "valid" in batch else edges


def _pictures(prediction: Prediction, batch: Batch) -> Iterator[tuple[Float[Tensor, "h w"], Int8[Tensor, "a h w"]]]:
    """What was found and what was drawn, picture by picture without padding and without annotators who know nothing."""
    sizes = [real_size(valid) for valid in batch["valid"]] if "valid" in batch else itertools.repeat(())
    for found, drawn, size in zip(prediction["edges"], _known(batch), sizes, strict="valid" in batch):
        real = (..., *(slice(length) for length in size))
        knows = (drawn != IGNORE_INDEX).flatten(1).any(1)
        yield found[real], drawn[knows][real]
