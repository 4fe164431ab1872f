"""A training as small as it can be, with the shape of the real one: a network of tasks, batches by source."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from visionkit.types import Monitor


class FakeTask(torch.nn.Module):
    monitor = Monitor("accuracy", "max")

    def __init__(self):
        super().__init__()
        self.seen = []

    def draw(self, sample, prediction=None):
        self.seen.append((sample, prediction))
        height, width = sample["image"].shape[1:]
        return np.full((height, width, 3), len(self.seen), np.uint8)


class FakeNetwork(torch.nn.Module):
    def forward(self, image):
        return image


class FakeModule(LightningModule):
    """One convolution with batch normalisation; ``spoil`` may change loss and terms at a step."""

    def __init__(self, spoil=None, lr=0.05):
        super().__init__()
        self.spoil, self.lr = spoil, lr
        self.step_losses, self.shared = {}, []
        self.network = FakeNetwork()
        self.network.tasks = torch.nn.ModuleDict({"segmentation": FakeTask()})
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2))
        self.register_buffer("index", torch.arange(100))

    def training_step(self, batch, index):
        images = batch["camvid"]["image"]
        terms = {"segmentation": {"dice": self.body(images).square().mean(), "focal": self.body(images).abs().mean()}}
        if self.spoil is not None:
            self.spoil(self, terms["segmentation"])
        loss = sum(terms["segmentation"].values())
        self.log("train/loss", loss, on_step=True, on_epoch=True, batch_size=len(images))
        return {
            "loss": loss,
            "terms": {task: {k: v.detach() for k, v in named.items()} for task, named in terms.items()},
        }

    def validation_step(self, batch, index):
        mask = self.body(batch["image"]).argmax(1)
        self.log("val/segmentation/accuracy", mask.float().mean(), batch_size=len(mask))
        self.log("val/segmentation/iou/sky", 0.25, batch_size=len(mask))
        return {"segmentation": {"mask": mask, "count": torch.zeros(len(mask))}}

    def monitor(self):
        return Monitor("val/segmentation/accuracy", "max")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)


def batch(samples):
    keys = [key for key, _ in samples]
    images = torch.stack([image for _, image in samples])
    valid = torch.zeros(len(samples), 6, 8, dtype=torch.bool)
    valid[:, :5, :7] = True
    return {"key": keys, "path": [""] * len(keys), "image": images, "valid": valid}


def samples(count):
    generator = torch.Generator().manual_seed(1)
    return [(f"frame_{i}", torch.rand(3, 6, 8, generator=generator)) for i in range(count)]


def loaders():
    train = DataLoader(samples(6), batch_size=2, collate_fn=lambda part: {"camvid": batch(part)})
    return train, DataLoader(samples(3), batch_size=2, collate_fn=batch)


@pytest.fixture
def make():
    """``make(folder, callbacks, **trainer options)``: a Trainer that keeps quiet."""

    def make(folder, callbacks, **options):
        options = {
            "max_epochs": 2,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "num_sanity_val_steps": 1,
        } | options
        return Trainer(
            accelerator="cpu",
            default_root_dir=folder,
            callbacks=callbacks,
            log_every_n_steps=1,
            enable_model_summary=False,
            **options,
        )

    return make


@pytest.fixture
def fake():
    """The pieces of the fake training."""
    return SimpleNamespace(Module=FakeModule, loaders=loaders, batch=batch, samples=samples)
