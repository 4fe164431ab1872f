"""The dataset configurations: each can be built, and its augmentation applied."""

import pickle
from functools import cache
from inspect import signature
from itertools import compress

import numpy as np
import pytest
import torch
from hydra.utils import get_method, get_object
from omegaconf import DictConfig, OmegaConf

from visionkit.config import build, compose, options
from visionkit.datamodule import Source
from visionkit.datasets.points import PointPairs
from visionkit.datasets.synthetic_crowds import Crowds
from visionkit.layers.points import inside
from visionkit.layers.valid import real_size

SIZES = {2: ((96, 96), (360, 480), (33, 700)), 3: ((40, 40, 40), (5, 90, 200), (1, 2, 3))}
"""As large as a crop, larger, and smaller along an axis."""


@cache
def config(name: str) -> DictConfig:
    return compose("train", [f"dataset={name}"]).dataset


@pytest.mark.parametrize("name", options("dataset"))
def test_every_field_is_an_argument(name):
    given = OmegaConf.to_container(config(name), resolve=True)
    assert set(given) - {"_target_"} <= set(signature(Source).parameters)
    layout = given["layout"]
    assert layout.pop("_partial_") is True
    accepted = set(signature(get_method(layout.pop("_target_"))).parameters)
    assert set(layout) <= accepted
    assert {"split", "channels"} <= accepted
    assert ("root" in accepted) == (given["root"] is not None)


@pytest.mark.parametrize("name", options("dataset"))
@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation(name, channels):
    cfg = config(name)
    source, rng = build(cfg), np.random.default_rng(0)
    assert isinstance(source, Source)
    (augment,) = source.augment
    for size in SIZES[3 if "augmenter" in cfg else 2]:
        sample = {
            "key": "a",
            "image": torch.from_numpy(rng.integers(0, 256, (channels, *size), dtype=np.uint8)),
            "mask": torch.from_numpy(rng.integers(-1, 5, size)),
            "valid": torch.ones(size, dtype=torch.bool),
        }
        if len(size) == 3:
            sample["image"] = sample["image"].float()
        else:
            sample["edges"] = torch.from_numpy(rng.integers(-1, 2, (5, *size), dtype=np.int8))
            of_lines = "text" in cfg.layout or "shorter_side" not in (cfg.get("prepare", ["shorter_side"]) or [])
            if not of_lines:  # in which nothing is counted
                sample["points"] = torch.from_numpy(rng.random((9, 2), dtype=np.float32) * np.float32(size[::-1]))
        result = augment(sample, rng)
        assert result["image"].shape == (channels, *result["mask"].shape)
        assert (result["mask"][~result["valid"]] == -1).all()
        if len(size) == 2:
            assert result["edges"].shape == (5, *result["mask"].shape)
            assert (result["edges"][:, ~result["valid"]] == -1).all()
            assert inside(result.get("points", torch.zeros(0, 2)), result["mask"].shape).all()


def sources_with_points(override):
    dataset = compose("train", [override]).dataset
    sources = dataset.sources.values() if "sources" in dataset else [dataset]
    layouts = [get_object(source.layout._target_) for source in sources]
    counts = [isinstance(layout, type) and issubclass(layout, (PointPairs, Crowds)) for layout in layouts]
    return list(compress(sources, counts))


COUNTED = [f"dataset={name}" for name in options("dataset")]
COUNTED += [f"experiment={name}" for name in options("experiment") if name.startswith(("counting/", "multitask/"))]


def test_there_are_datasets_in_which_something_is_counted():
    assert sum(bool(sources_with_points(override)) for override in COUNTED) >= 9


@pytest.mark.parametrize("override", COUNTED)
def test_where_something_is_counted_padding_lies_at_the_end(override):
    for source in sources_with_points(override):
        for number in range(4):
            rng = np.random.default_rng(number)
            sample = {
                "key": "a",
                "image": torch.zeros(3, 20, 30, dtype=torch.uint8),
                "points": torch.tensor([[15.0, 10.0]]),
                "valid": torch.ones(20, 30, dtype=torch.bool),
            }
            for augment in build(source).augment:
                sample = augment(sample, rng)
            height, width = real_size(sample["valid"])
            assert sample["valid"][:height, :width].all()


@pytest.mark.parametrize("name", options("dataset"))
def test_processes_that_are_not_forked_can_be_given_it(name):
    source, root = build(config(name)), config(name).root
    pickle.dumps((source.augment, source.prepare))
    if root is None:
        pickle.dumps(build(config(name).layout)(split="train"))


def test_synthetic_shapes_need_no_files():
    layout = build(config("synthetic_shapes").layout)
    assert [len(layout(split=split)) for split in ("train", "val", "test")] == [512, 64, 64]
    assert len(layout(split="train").labels["mask"]) == 6
