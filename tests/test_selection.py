"""A part of the tasks of an experiment."""

import pytest
from omegaconf import DictConfig

from visionkit.config import compose
from visionkit.errors import ConfigError
from visionkit.selection import keep_only


def quickstart(only: str) -> DictConfig:
    return compose("train", ["experiment=multitask/quickstart", "run=.", f"only={only}"])


def test_a_task_alone_with_its_source_and_baseline() -> None:
    cfg = quickstart("edges")
    keep_only(cfg)
    assert (list(cfg.tasks), list(cfg.dataset.sources), list(cfg.baselines)) == (["edges"], ["outlines"], ["edges"])


def test_the_order_of_tasks_stays_and_what_they_say_too() -> None:
    whole, cfg = quickstart("null"), quickstart("[counting,segmentation]")
    keep_only(whole)
    keep_only(cfg)
    assert list(whole.tasks)[:3] == ["segmentation", "edges", "counting"]
    assert list(cfg.tasks) == ["segmentation", "counting"]
    assert all(cfg.tasks[name] == whole.tasks[name] for name in cfg.tasks)
    assert list(cfg.dataset.sources) == ["shapes", "crowds"]


def test_one_dataset_stays_as_it_is() -> None:
    words = ["task=[edges/sides,segmentation/unet]", "dataset=bsds500_regions", "dataset.root=.", "run=."]
    cfg = compose("train", [*words, "only=segmentation"])
    before = cfg.dataset.copy()
    keep_only(cfg)
    assert list(cfg.tasks) == ["segmentation"]
    assert cfg.dataset == before


def test_a_name_that_is_no_task() -> None:
    with pytest.raises(ConfigError, match=r"C93.*only=edgse.*edges"):
        keep_only(quickstart("edgse"))
