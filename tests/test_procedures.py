"""What training does around the training itself: where it begins, and what is left of it when something fails."""

from pathlib import Path

import pytest

from visionkit import procedures
from visionkit.checkpoint import save_checkpoint
from visionkit.config import compose
from visionkit.errors import ExportError, StorageError
from visionkit.runs import Run


class ReachedError(Exception):
    pass


@pytest.fixture
def warm_starts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Places that training started from; it stops where it has a network."""
    places: list[str] = []

    def stop(*_: object) -> None:
        raise ReachedError

    monkeypatch.setattr(procedures, "start_from", lambda network, place: places.append(place) or "begun")
    monkeypatch.setattr(procedures, "make_module", stop)
    return places


@pytest.mark.parametrize(("resumed", "saved", "starts"), [(False, False, 1), (True, False, 1), (True, True, 0)])
def test_a_run_starts_from_another_until_it_has_weights_of_its_own(
    warm_starts: list[str], tmp_path: Path, resumed: bool, saved: bool, starts: int
) -> None:
    if saved:
        save_checkpoint({}, tmp_path / "checkpoints/step_00000005.ckpt")
    cfg = compose("train", ["experiment=segmentation/quickstart", "encoder.model=test_resnet", "start_from=other"])
    with pytest.raises(ReachedError):
        procedures.train_run(cfg, Run(tmp_path, resumed))
    assert warm_starts == ["other"] * starts


def test_what_onnx_cannot_hold_is_exported_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failure = ExportError("E02", "model.onnx", "differs", "export with onnx=false")

    def export(folder: Path, which: str, onnx: bool = False) -> Path:
        if onnx:
            raise failure
        return folder / "bundle"

    monkeypatch.setattr(procedures, "export_run", export)
    best = tmp_path / "checkpoints/best.ckpt"
    assert procedures._exported(tmp_path, best, onnx=True) == (tmp_path / "bundle", failure)
    assert procedures._exported(tmp_path, best, onnx=False) == (tmp_path / "bundle", None)


def test_a_bundle_that_cannot_be_written_is_said_after_the_summary(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    full = StorageError("S20", tmp_path, "is no bundle", "choose out=")

    def export(*_: object, **__: object) -> Path:
        raise full

    monkeypatch.setattr(procedures, "export_run", export)
    assert procedures._exported(tmp_path, tmp_path / "best.ckpt", onnx=False) == (None, full)
