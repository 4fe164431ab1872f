"""What volumes can be like: each is read, trained on with a finite loss, evaluated and predicted on its own grid."""

from functools import cache, partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from volume_trees import image, labels, write

from visionkit.config import build, compose
from visionkit.datamodule import Source
from visionkit.datasets.collate import collate
from visionkit.decoders.unet import UNet
from visionkit.encoders.conv import ConvEncoder
from visionkit.inference import SlidingWindow
from visionkit.labels import Classes
from visionkit.losses.segmentation import CrossEntropy, Dice
from visionkit.metrics.collections import by_case
from visionkit.network import Network
from visionkit.prediction.volumes import Volumes
from visionkit.tasks.segmentation import Segmentation
from visionkit.types import Monitor

FLIPPED = np.array([[-1.0, 0, 0, 90], [0, 0, 2, -10], [0, 1, 0, 5], [0, 0, 0, 1]])
"""Axes to the left, upwards and to the front."""
OBLIQUE = np.array([[0.9, -0.3, 0, 0], [0.3, 0.9, 0.1, 0], [0, -0.1, 3, 0], [0, 0, 0, 1]])
CASES = {
    "one slice": ((20, 18, 1), np.diag([1, 1, 8.0, 1])),
    "one row": ((20, 1, 14), np.eye(4)),
    "one voxel": ((1, 1, 1), np.eye(4)),
    "smaller than the patch": ((5, 6, 4), np.eye(4)),
    "larger than the patch": ((30, 27, 25), np.eye(4)),
    "flipped": ((14, 20, 17), FLIPPED),
    "oblique": ((14, 20, 9), OBLIQUE),
    "anisotropic": ((24, 24, 6), np.diag([0.5, 0.5, 6.0, 1])),
}


@cache
def composed() -> DictConfig:
    return compose("train", ["dataset=nifti_folder", "dataset.augment.patch.size=[16,16,16]"]).dataset


def source(root: Path, **layout) -> Source:
    cfg = composed().copy()
    cfg.root = str(root)
    for key, value in layout.items():
        cfg.layout[key] = value
    return build(cfg)


def folder(root: Path, shape: tuple[int, ...], affine: np.ndarray, mask: np.ndarray) -> None:
    for split in ("train", "val", "test"):
        write(root / "images" / split / "a.nii.gz", image(shape), affine)
        write(root / "masks" / split / "a.nii.gz", mask, affine)
    (root / "classes.yaml").write_text("[background, organ, tumour]")


def network(labels_of: dict) -> Network:
    torch.manual_seed(0)
    losses = {"cross_entropy": CrossEntropy(), "dice": Dice(background=False)}
    decoder = partial(UNet, widths=[8, 4], at=None)
    inference = SlidingWindow(16, pad=True)
    monitor = Monitor("mean_dice", "max")
    task = partial(Segmentation, decoder, losses, inference=inference, metrics=by_case, monitor=monitor)
    return Network(ConvEncoder((4, 6, 8), (1, 2, 2)), {"segmentation": task}, labels_of)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("filled", [True, False], ids=["labelled", "empty mask"])
@pytest.mark.parametrize("spacing_mm", [None, [2.0, 1.0, 1.0]])
def test_every_volume_is_learnt_from_and_judged(name, filled, spacing_mm, tmp_path) -> None:
    shape, affine = CASES[name]
    folder(tmp_path, shape, affine, labels(shape) if filled else np.zeros(shape, np.uint8))
    data = source(tmp_path, spacing_mm=spacing_mm)
    train, val = (data.examples(split) for split in ("train", "val"))
    model = network(train.dataset.labels)
    samples = [train[epoch, 0] for epoch in range(2)]
    assert all(sample["image"].shape == (1, 16, 16, 16) for sample in samples)
    loss = sum(model.train().loss(collate(samples))["segmentation"].values())
    loss.backward()
    assert loss.isfinite()
    assert all(value.grad.isfinite().all() for value in model.parameters() if value.grad is not None)
    batch = collate([val[0, 0]])
    with torch.no_grad():
        prediction = model.eval().predict(batch)["segmentation"]
    task = model.named_tasks["segmentation"]
    task.update(prediction, batch)
    figures = task.metrics.compute()
    assert prediction["mask"].shape == batch["mask"].shape
    assert figures["mean_dice"].isnan() or 0 <= figures["mean_dice"] <= 1
    assert task.draw(val[0, 0], {key: value[0] for key, value in prediction.items()}).ndim == 3


@pytest.mark.parametrize("name", CASES)
def test_a_prediction_returns_to_the_grid_of_its_file(name, tmp_path) -> None:
    shape, affine = CASES[name]
    path = write(tmp_path / "a.nii.gz", image(shape), affine)
    (item,) = Volumes({"channels": 1, "spacing_mm": [2.0, 1.0, 1.0]}).find(path)
    opened = item.open()
    kind, given = opened.kinds["mask"], tuple(opened.given.shape[1:])
    mask = kind.restore(torch.arange(np.prod(given)).view(given) % 2, opened.image.shape[1:])
    kind.write(mask, Classes(("background", "organ")), tmp_path, "b")
    written, original = nibabel.load(tmp_path / "b_mask.nii.gz"), nibabel.load(path)
    assert written.shape == original.shape
    assert np.array_equal(written.affine, original.affine)
