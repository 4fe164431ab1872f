"""A whole network in a few lines, so that these tests depend on no encoder, decoder or task."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from visionkit.labels import Classes
from visionkit.network import Network
from visionkit.types import Monitor

CLASSES = Classes(("sky", "road", "tree"), ((10, 20, 30), (200, 100, 0), (0, 160, 90)))
ENCODER = {"_target_": "tiny_model.TinyEncoder", "channels": [4, 6], "pretrained": True}
TASK = {"_target_": "tiny_model.TinyTask", "_partial_": True, "head": {"_target_": "tiny_model.Scale", "factor": 2.0}}
ALLOW = ["tiny_model.TinyEncoder", "tiny_model.TinyTask", "tiny_model.Scale"]
PREPROCESSING = {"channels": 3, "size": None}


class TinyEncoder(nn.Module):
    """Two strided convolutions with batch statistics. Weights must be asked for off: nothing may be downloaded."""

    strides = (2, 4)
    spatial_dims = 2

    def __init__(
        self, channels: Sequence[int], pretrained: bool = False, weights: str | None = None, in_chans: int = 3
    ):
        super().__init__()
        if pretrained or weights:
            raise AssertionError("asked to fetch weights")
        self.channels, self.in_chans = tuple(channels), in_chans
        self.first = nn.Conv2d(in_chans, channels[0], 3, 2, 1)
        self.norm = nn.BatchNorm2d(channels[0])
        self.second = nn.Conv2d(channels[0], channels[1], 3, 2, 1)
        self.register_buffer("mean", torch.full((1, in_chans, 1, 1), 0.4))

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.norm(self.first(image - self.mean)).relu()
        return [fine, self.second(fine).relu()]


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, value: Tensor) -> Tensor:
        return value * self.factor


class TinyTask(nn.Module):
    """A class for each pixel from the finest map."""

    target: ClassVar[str] = "mask"
    monitor = Monitor("accuracy", "max")
    inference = None

    def __init__(self, head: nn.Module, channels: Any, strides: Any, spatial_dims: int, labels: Classes) -> None:
        super().__init__()
        self.labels, self.head, self.stride = labels, head, strides[0]
        self.scores_of = nn.Conv2d(channels[0], len(labels), 3, padding=1)
        self.metrics = MetricCollection([])

    def forward(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        logits = self.head(self.scores_of(features[0]))
        logits = nn.functional.interpolate(logits, scale_factor=float(self.stride), mode="nearest")
        return logits[..., : size[0], : size[1]]

    def decide(self, outputs: Tensor, batch: Any) -> Any:
        confidence, mask = outputs.softmax(1).max(1)
        return {"mask": mask, "confidence": confidence}

    def draw(self, sample: Any, prediction: Any = None) -> np.ndarray:
        picture = np.zeros((*sample["image"].shape[1:], 3), np.uint8)
        picture[..., 0] = prediction["mask"].numpy() * 50
        return picture


class Broken(TinyTask):
    """Decides by the shape that it was traced with: what an exporter silently bakes in."""

    def forward(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        logits = super().forward(features, size)
        return logits + 1e-2 if torch.compiler.is_exporting() else logits


def tiny_network(seed: int = 0, in_chans: int = 3, task: type[TinyTask] = TinyTask) -> Network:
    """Random weights and random batch statistics, in evaluation mode."""
    torch.manual_seed(seed)

    def make(**shape: Any) -> TinyTask:
        return task(Scale(2.0), **shape)

    make.target = "mask"  # type: ignore[attr-defined]
    network = Network(TinyEncoder([4, 6], in_chans=in_chans), {"segmentation": make}, {"mask": CLASSES})
    network.encoder.norm.running_mean.normal_()
    network.encoder.norm.running_var.uniform_(0.5, 2)
    return network.eval()
