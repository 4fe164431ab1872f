"""The smallest parts that make a whole: for tests of the loop, not of the parts."""

import logging
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from visionkit.checkpoint import VerifiedCheckpointIO
from visionkit.datamodule import DataModule, Source
from visionkit.datasets.synthetic import Shapes
from visionkit.losses.segmentation import CrossEntropy
from visionkit.module import VisionModule
from visionkit.multitask.balance import Fixed
from visionkit.network import Network
from visionkit.schedules import cosine
from visionkit.tasks.segmentation import Segmentation

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class ToyEncoder(nn.Module):
    """Two strided convolutions, with dropout and batch statistics, so that all kinds of state are there."""

    channels, strides, spatial_dims, in_chans = (4, 8), (2, 4), 2, 3

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
        self.deep = nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.stem(image)
        return [fine, self.deep(fine)]


class ToyDecoder(nn.Module):
    """The finest map alone."""

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...], spatial_dims: int) -> None:
        super().__init__()
        self.out_channels, self.stride = channels[0] + channels[1], strides[0]

    def forward(self, features: list[Tensor]) -> Tensor:
        coarse = nn.functional.interpolate(features[1], scale_factor=2.0)
        return torch.cat([features[0], coarse], 1)


def toy_source(length: int, batch_size: int = 3, **options: object) -> Source:
    import albumentations as A

    layout = partial(Shapes, length=length, size=(20, 28))
    augment = {"flip": A.HorizontalFlip(p=0.5), "noise": A.RandomBrightnessContrast(p=0.5)}
    return Source(layout=layout, augment=augment, batch_size=batch_size, **options)  # type: ignore[arg-type]


def toy_datamodule(length: int, workers: int = 0, batch_size: int = 3) -> DataModule:
    return DataModule({"shapes": toy_source(length, batch_size)}, seed=0, workers=workers)


def toy_module(datamodule: DataModule) -> VisionModule:
    torch.manual_seed(0)
    task = partial(Segmentation, decoder=ToyDecoder, losses={"cross_entropy": CrossEntropy()})
    network = Network(ToyEncoder(), {"segmentation": task}, datamodule.labels)
    optimizer = partial(torch.optim.AdamW, lr=1e-2)
    return VisionModule(network, optimizer, partial(cosine, warmup=0.2), Fixed(["segmentation"]))


def toy_trainer(folder: Path, *callbacks: Callback, **options: object) -> Trainer:
    settings = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 1,
        "max_epochs": 3,
        "gradient_clip_val": 1.0,
        "default_root_dir": str(folder),
        "plugins": [VerifiedCheckpointIO()],
    }
    return Trainer(**{**settings, **options}, callbacks=list(callbacks))  # type: ignore[arg-type]
