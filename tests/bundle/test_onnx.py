"""The ONNX model gives what the network gives, or there is no ONNX model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from tiny_model import ALLOW, CLASSES, ENCODER, PREPROCESSING, TASK, Broken, tiny_network

from visionkit.bundle import folder as bundle
from visionkit.bundle import onnx as export
from visionkit.bundle.labels import labels_to_json
from visionkit.errors import ExportError, ResourceError


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = labels_to_json({"mask": CLASSES})
    return export.export_onnx(tiny_network(), tmp_path_factory.mktemp("onnx") / "m.onnx", labels, PREPROCESSING)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [(5, 3), (32, 48), (61, 35)], ids=str)
def test_any_size_and_batch_gives_what_the_network_gives(file: Path, batch: int, size: tuple[int, int]) -> None:
    image = torch.rand(batch, 3, *size)
    with torch.no_grad():
        want = tiny_network()(image)["segmentation"].numpy()
    session = onnxruntime.InferenceSession(str(file))
    (got,) = session.run(["segmentation"], {"image": image.numpy()})
    assert got.shape == (batch, 3, *size)
    assert np.abs(got - want).max() <= 1e-4


def test_labels_and_preprocessing_travel_with_it_and_no_path_does(file: Path) -> None:
    about = onnxruntime.InferenceSession(str(file)).get_modelmeta().custom_metadata_map
    assert json.loads(about["labels"])["mask"]["names"] == ["sky", "road", "tree"]
    assert json.loads(about["preprocessing"]) == {"channels": 3, "size": None}
    assert str(Path(export.__file__).parent).encode() not in file.read_bytes()
    assert [path.name for path in file.parent.iterdir()] == ["m.onnx"]


def test_an_export_that_differs_leaves_no_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    network = tiny_network(task=Broken).train()
    with pytest.raises(ExportError, match=r"E02.*differs by 0\.01 in segmentation") as caught:
        export.export_onnx(network, tmp_path / "m.onnx", {}, PREPROCESSING)
    assert caught.value.exit_code == 9
    assert list(tmp_path.iterdir()) == []
    assert network.training
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_exported_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no\nsuch operation")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(ExportError, match=r"E01.*no such operation"):
        export.export_onnx(tiny_network(), tmp_path / "m.onnx", {}, PREPROCESSING)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_does_not_run_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no\nsuch kernel")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(ExportError, match=r"E03.*does not run \(no such kernel\)"):
        export.export_onnx(tiny_network(), tmp_path / "m.onnx", {}, PREPROCESSING)
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(ResourceError, match=r"R11.*needs onnxruntime; pip install 'visionkit\[onnx\]'"):
        export.export_onnx(tiny_network(), tmp_path / "m.onnx", {}, PREPROCESSING)


def test_a_bundle_can_hold_it(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "export_onnx", lambda network, path, *_: path.write_bytes(file.read_bytes()))
    arguments: dict[str, Any] = {"encoder_cfg": ENCODER, "tasks_cfg": {"segmentation": TASK}, "metrics": {}}
    arguments |= {"labels": {"mask": CLASSES}, "preprocessing": PREPROCESSING}
    folder = bundle.save(tiny_network(), tmp_path / "m", onnx=True, **arguments)
    assert "model.onnx" in (folder / "README.md").read_text()
    bundle.load(folder, ALLOW)
    (folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(Exception, match="U07"):
        bundle.load(folder, ALLOW)
    bundle.save(tiny_network(), folder, **arguments)
    assert not (folder / "model.onnx").exists()
