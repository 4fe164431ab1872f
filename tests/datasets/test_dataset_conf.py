"""The dataset configurations: each can be built, and its augmentation applied."""

import pickle
from functools import cache
from inspect import signature

import numpy as np
import pytest
import torch
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from visionkit.config import build, compose, options
from visionkit.datamodule import Source
from visionkit.layers.points import inside

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
            if "text" not in cfg.layout and "prepare" not in cfg:  # nothing is counted in lines of text
                sample["points"] = torch.from_numpy(rng.random((9, 2), dtype=np.float32) * np.float32(size[::-1]))
        result = augment(sample, rng)
        assert result["image"].shape == (channels, *result["mask"].shape)
        assert (result["mask"][~result["valid"]] == -1).all()
        if len(size) == 2:
            assert result["edges"].shape == (5, *result["mask"].shape)
            assert (result["edges"][:, ~result["valid"]] == -1).all()
            assert inside(result.get("points", torch.zeros(0, 2)), result["mask"].shape).all()


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
