"""The dataset configurations: each can be built, and its augmentation applied."""

from functools import partial
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf

from visionkit.datasets.transforms import Augment

CONF = Path(__file__).parents[2] / "conf" / "dataset"
MASKS = ("camvid", "folder", "synthetic_shapes")
EDGES = ("bsds500", "nyudv2", "biped", "edges_folder", "synthetic_edges")
FILES = [CONF / f"{name}.yaml" for name in MASKS + EDGES]
FIELDS = {"_target_", "layout", "root", "channels", "size", "batch_size", "eval_batch_size", "on_bad", "augment"}


def load(path: Path) -> dict:
    return OmegaConf.to_container(OmegaConf.load(path), resolve=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fields_and_description(path):
    assert path.read_text().startswith("# ")
    config = load(path)
    assert set(config) == FIELDS
    layout = config["layout"]
    assert layout.pop("_partial_") is True
    accepted = set(signature(get_method(layout.pop("_target_"))).parameters)
    assert set(layout) <= accepted
    assert {"split", "channels"} <= accepted
    assert ("root" in accepted) == (config["root"] is not None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation(path, channels):
    augment = Augment(instantiate(load(path)["augment"], _convert_="all"))
    rng = np.random.default_rng(0)
    for height, width in ((96, 96), (360, 480), (33, 700)):
        sample = {
            "key": "a",
            "image": torch.from_numpy(rng.integers(0, 256, (channels, height, width), dtype=np.uint8)),
            "mask": torch.from_numpy(rng.integers(-1, 5, (height, width))),
            "edges": torch.from_numpy(rng.integers(-1, 2, (5, height, width), dtype=np.int8)),
        }
        result = augment(sample, rng)
        assert result["image"].shape == (channels, *result["mask"].shape)
        assert (result["mask"][~result["valid"]] == -1).all()
        assert result["edges"].shape == (5, *result["mask"].shape)
        assert (result["edges"][:, ~result["valid"]] == -1).all()


def test_synthetic_shapes_need_no_files():
    layout = instantiate(load(CONF / "synthetic_shapes.yaml")["layout"], _convert_="all")
    assert isinstance(layout, partial)
    assert [len(layout(split=split)) for split in ("train", "val", "test")] == [512, 64, 64]
    assert len(layout(split="train").labels["mask"]) == 6
