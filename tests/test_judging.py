"""Baselines beside a network: what they learn from, and what is left out."""

import json
from functools import partial
from types import SimpleNamespace

import albumentations
import pytest
import torch
from omegaconf import OmegaConf

from visionkit.datamodule import DataModule, Source
from visionkit.datasets.shorter_side import ShorterSide
from visionkit.decoders.density import Density
from visionkit.decoders.fpn import FPN
from visionkit.errors import DataError
from visionkit.judging import against_baselines, as_evaluated
from visionkit.labels import Objects
from visionkit.losses.density import SquaredDensity
from visionkit.tasks.counting import Counting

COUNTS = {"train": (8, 20, 5), "val": (3, 30), "test": (1,)}
CFG = OmegaConf.create({"baselines": {"counting": {"_target_": "visionkit.baselines.trivial.MeanCount"}}})


class Crowds:
    """Pictures of 40 x 50 with known counts; of the first of each split the file is broken, if ``broken``."""

    labels = {"points": Objects()}  # noqa: RUF012

    def __init__(self, split, channels=3, broken=False):
        self.counts, self.broken = COUNTS[split], broken

    def __len__(self):
        return len(self.counts)

    def key(self, index):
        return str(index)

    def __getitem__(self, index):
        if self.broken and index == 0:
            raise DataError("D15", "0.jpg", "is truncated", "replace it")
        points = torch.rand(self.counts[index], 2, generator=torch.Generator().manual_seed(index))
        image = torch.zeros(3, 40, 50, dtype=torch.uint8)
        valid = torch.ones(40, 50, dtype=torch.bool)
        return {"key": str(index), "image": image, "valid": valid, "points": points * torch.tensor([50.0, 40.0])}


def datamodule(**options):
    broken = options.pop("broken", False)
    crop = albumentations.RandomCrop(height=8, width=8)
    source = Source(partial(Crowds, broken=broken), {"crop": crop}, prepare={"side": ShorterSide(20)}, **options)
    return DataModule({"crowds": source})


def judged(folder, split, data):
    path = partial(FPN, width=8, stride=4)
    task = Counting(partial(Density, width=4, path=path), {"density": SquaredDensity()}, (4, 8), (4, 8), 2, Objects())
    results = {split: {"counting": {"mae": torch.tensor(1.0)}}}
    module = SimpleNamespace(cpu=lambda: None, tasks={"counting": task}, results=results)
    (gain,) = against_baselines(CFG, folder, module, data, split)
    assert json.loads((folder / "evaluation" / split / "baselines.json").read_text())[0]["without"] == gain.without
    return gain.without


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_baseline_learns_from_whole_pictures(tmp_path, split):
    errors = [abs(count - 11) for count in COUNTS[split]]  # 11 is the mean of training
    assert judged(tmp_path, split, datamodule()) == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_samples_are_prepared_and_not_augmented():
    (sample, *_) = as_evaluated(datamodule(size=(10, 10)), "train")
    assert sample["image"].shape == (3, 20, 20)
    assert len(sample["points"]) == 8


def test_a_sample_that_cannot_be_read_is_left_out_or_an_error(tmp_path, caplog):
    expected = abs(30 - (20 + 5) / 2)
    assert judged(tmp_path, "val", datamodule(broken=True, on_bad="skip")) == pytest.approx(expected, rel=1e-5)
    assert caplog.text.count("skipped: error[D15] 0.jpg") == 2
    with pytest.raises(DataError, match="D15"):
        judged(tmp_path, "val", datamodule(broken=True))
