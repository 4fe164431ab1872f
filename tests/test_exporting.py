"""A run becomes a bundle: its weights, what it learnt, and the figures that are its own."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tiny_model import ALLOW, CLASSES, ENCODER, TASK, tiny_network

from visionkit import checkpoint
from visionkit.bundle import folder as bundle
from visionkit.bundle.labels import labels_to_json
from visionkit.errors import ConfigError, StorageError
from visionkit.exporting import _preprocessing, export_run

ABOUT = {"checkpoint": "best.ckpt", "step": 40, "changes": [], "metrics": {"segmentation": {"miou": 0.25}}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder that a training run leaves."""
    network = tiny_network()
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    state["balance.weight"] = torch.ones(1)
    folder = tmp_path / "runs" / "one"
    (folder / "evaluation" / "test").mkdir(parents=True)
    (folder / "evaluation" / "test" / "metrics.json").write_text(json.dumps(ABOUT))
    cfg = {
        "encoder": ENCODER | {"pretrained": False},
        "tasks": {"segmentation": TASK},
        "dataset": {"channels": 3, "size": [16, 24]},
        "channels_last": False,
    }
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
    (folder / "labels.json").write_text(json.dumps(labels_to_json({"mask": CLASSES})))
    saved = {"state_dict": state, "epoch": 3, "global_step": 40}
    checkpoint.save_checkpoint(saved, folder / "checkpoints" / "best.ckpt")
    return folder


def test_a_run_becomes_a_bundle(run: Path, tmp_path: Path) -> None:
    assert export_run(run) == run / "bundle"
    network, info = bundle.load(export_run(run, tmp_path / "out"), ALLOW)
    assert torch.equal(network.encoder.second.weight, tiny_network().encoder.second.weight)
    assert info.preprocessing == {"channels": 3, "size": [16, 24], "channels_last": False}
    assert info.metrics["test"]["segmentation"]["miou"] == 0.25
    assert info.metrics["step"] == 40


@pytest.mark.parametrize("other", [{"step": 39}, {"changes": ["dataset.root=/other"]}])
def test_figures_of_other_weights_or_data_are_left_out(other: dict[str, Any], run: Path) -> None:
    (run / "evaluation" / "test" / "metrics.json").write_text(json.dumps(ABOUT | other))
    _, info = bundle.load(export_run(run), ALLOW)
    assert "test" not in info.metrics


def test_a_run_whose_checkpoint_does_not_fit_is_refused(run: Path) -> None:
    state = {"network.encoder.mean": torch.zeros(1, 3, 1, 1)}
    checkpoint.save_checkpoint({"state_dict": state}, run / "checkpoints" / "best.ckpt")
    with pytest.raises(StorageError, match=r"S21.*is missing"):
        export_run(run)
    assert not (run / "bundle").exists()


def test_sources_that_are_resized_differently_have_no_common_size(run: Path) -> None:
    cfg = OmegaConf.load(run / "config.yaml")
    cfg.dataset = {"sources": {"a": {"channels": 3, "size": [8, 8]}, "b": {"channels": 3, "size": None}}}
    OmegaConf.save(cfg, run / "config.yaml")
    _, info = bundle.load(export_run(run), ALLOW)
    assert info.preprocessing["size"] is None


@pytest.mark.parametrize("missing", ["config.yaml", "labels.json", "checkpoints/best.ckpt"])
def test_a_folder_that_is_no_run_is_named(run: Path, missing: str) -> None:
    (run / missing).unlink()
    with pytest.raises(ConfigError):
        export_run(run)


def test_what_pictures_pass_through_travels_where_all_sources_agree(run: Path) -> None:
    cfg = OmegaConf.load(run / "config.yaml")
    height = {"_target_": "visionkit.datasets.text_size.ToHeight", "height": 32}
    one = {"channels": 3, "size": None, "prepare": {"height": height, "off": None}}
    for other, expected in ((one, [height]), (one | {"prepare": {}}, None)):
        cfg.dataset = {"sources": {"a": one, "b": other}}
        OmegaConf.save(cfg, run / "config.yaml")
        folder = export_run(run)
        assert bundle.load(folder, ALLOW)[1].preprocessing.get("prepare") == expected
        assert ("ToHeight" in (folder / "README.md").read_text()) == (expected is not None)


def test_what_is_read_otherwise_than_in_training_stands_in_the_bundle(run: Path) -> None:
    changes = ["channels_last=true", "dataset.size=[8, 12]"]
    about = ABOUT | {"changes": changes[::-1], "metrics": {"segmentation": {"miou": 0.5}}}
    (run / "evaluation" / "test" / "metrics.json").write_text(json.dumps(about))
    _, info = bundle.load(export_run(run, changes=changes), ALLOW)
    assert info.preprocessing == {"channels": 3, "size": [8, 12], "channels_last": True}
    assert info.metrics["test"]["segmentation"]["miou"] == 0.5  # of an evaluation with the same changes
    assert info.metrics["changes"] == changes
    assert "with `channels_last=true dataset.size=[8, 12]`" in (run / "bundle/README.md").read_text()
    assert "test" not in bundle.load(export_run(run), ALLOW)[1].metrics


def test_a_change_of_the_network_is_refused_by_name(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"C233.*encoder.channels=\[4,8\].*best.ckpt"):
        export_run(run, changes=["encoder.channels=[4,8]"])
    assert not (run / "bundle").exists()


def test_a_change_of_what_is_not_there_is_refused(run: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean channels_last"):
        export_run(run, changes=["chanels_last=true"])


def test_preprocessing_of_a_run_is_that_of_its_dataset() -> None:
    intensity = {"_target_": "visionkit.datasets.intensity.ZScore"}
    layout = {"_target_": "x", "spacing_mm": [2.0, 1.0, 1.0], "interpolation": "cubic"}
    source = {"channels": 1, "size": None, "intensity": intensity, "layout": layout}
    expected = {"channels": 1, "size": None, "spatial_dims": 3, "intensity": intensity}
    expected |= {"spacing_mm": [2.0, 1.0, 1.0], "interpolation": "cubic"}
    assert _preprocessing(source, 3) == expected
    assert _preprocessing({"sources": {"a": source}}, 3) == expected
    assert _preprocessing({"channels": 3, "size": [8, 9], "layout": {}}, 2) == {"channels": 3, "size": [8, 9]}
