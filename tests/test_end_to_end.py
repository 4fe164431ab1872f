"""The whole way, by its commands: own pictures, train, evaluate, export, predict; and what each leaves behind."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visionkit.cli import main
from visionkit.datasets.synthetic import Shapes
from visionkit.errors import ConfigError
from visionkit.launch import evaluate

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.early
CLASSES = ["background", "disc", "square"]


def train(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "train.py"), *words]
    return subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Types ``visionkit`` and some words in the user's folder; gives what is printed."""

    def typed(*words: str) -> str:
        monkeypatch.chdir(place)
        with pytest.raises(SystemExit) as ended:
            main(words)
        printed, errors = capsys.readouterr()
        assert not ended.value.code, errors
        return printed

    return typed


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a user has own pictures of several sizes and has trained on them."""
    folder = tmp_path_factory.mktemp("user")
    shapes = Shapes("train", length=24, size=(24, 30), max_size=(40, 44), classes=CLASSES[1:])
    for kind in ("images", "masks"):
        (folder / "mydata" / kind).mkdir(parents=True)
    for index in range(24):
        sample = shapes[index]
        name = f"picture_{index:02d}.png"
        Image.fromarray(sample["image"].permute(1, 2, 0).numpy()).save(folder / "mydata" / "images" / name)
        Image.fromarray(sample["mask"].numpy().astype(np.uint8)).save(folder / "mydata" / "masks" / name)
    (folder / "mydata" / "classes.yaml").write_text("".join(f"- {name}\n" for name in CLASSES))
    done = train(
        folder,
        *("task=segmentation/fpn", "dataset=folder", "dataset.root=mydata", "run=runs/mine"),
        *("encoder.model=test_resnet", "trainer=cpu", "trainer.max_epochs=2", "dataset.batch_size=auto", "workers=0"),
        *("dataset.augment.crop.height=32", "dataset.augment.crop.width=32", "dataset.layout.fractions=[0.6,0.2,0.2]"),
    )
    assert done.returncode == 0, done.stderr
    return folder


def metrics(place: Path) -> dict:  # type: ignore[type-arg]
    about = json.loads((place / "runs/mine/evaluation/test/metrics.json").read_text())
    assert (about["checkpoint"], about["changes"]) == ("best.ckpt", [])
    return about["metrics"]["segmentation"]


def test_the_run_folder_holds_everything(place: Path) -> None:
    run_folder = place / "runs/mine"
    for name in (
        "config.yaml",
        "labels.json",
        "metrics.jsonl",
        "report/index.html",
        "bundle/bundle.json",
        "wandb_id.txt",
    ):
        assert (run_folder / name).is_file(), name
    assert (run_folder / "checkpoints/best.ckpt").is_file()
    assert list(run_folder.glob("wandb/offline-run-*/*.wandb"))
    assert list(run_folder.glob("pictures/segmentation/*.png"))
    assert json.loads((run_folder / "batch_sizes.json").read_text())["dataset"] >= 1


def test_evaluating_again_gives_the_same_figures(place: Path, run: Callable[..., str]) -> None:
    before = metrics(place)
    printed = run("evaluate", "run=runs/mine")
    assert metrics(place) == before
    assert "miou" in printed
    assert "visionkit predict runs/mine/bundle" in printed


def test_figures_of_other_weights_stand_beside_the_runs_own(place: Path, run: Callable[..., str]) -> None:
    before = metrics(place)
    printed = run("evaluate", "run=runs/mine", "checkpoint=last", "split=val")
    other = place / "runs/mine/evaluations/checkpoint=last"
    assert json.loads((other / "evaluation/val/metrics.json").read_text())["checkpoint"].startswith("step_")
    assert "step_" in (other / "report/index.html").read_text()
    assert "best checkpoint" not in printed
    assert metrics(place) == before


def test_masks_to_be_tested_on_need_no_training_split(place: Path, run: Callable[..., str]) -> None:
    for kind in ("images", "masks"):
        (place / "theirs" / kind / "test").mkdir(parents=True)
        for file in sorted((place / "mydata" / kind).iterdir())[:3]:
            shutil.copy(file, place / "theirs" / kind / "test")
    shutil.copy(place / "mydata/classes.yaml", place / "theirs")
    run("evaluate", "run=runs/mine", "dataset.root=theirs")
    (found,) = (place / "runs/mine/evaluations").glob("dataset.root=theirs*/evaluation/test/scores.json")
    assert len(json.loads(found.read_text())["segmentation"]) == 3
    (place / "theirs/classes.yaml").write_text("- background\n- square\n- disc\n")
    with pytest.raises(ConfigError, match=r"C234.*has square where the run learnt disc"):
        evaluate(["run=runs/mine", "dataset.root=theirs"])


def test_an_option_for_a_task_that_is_not_there_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(ConfigError, match=r"C237.*tasks\.handwriting.*segmentation"):
        evaluate(["run=runs/mine", "generation=greedy"])


def test_another_network_is_refused_by_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    change = "tasks.segmentation.head_kernel_size=3"
    with pytest.raises(ConfigError, match=rf"C233.*{change}.*best\.ckpt.*start_from"):
        evaluate(["run=runs/mine", change])


def test_predicted_class_maps_are_those_of_the_evaluation(place: Path, run: Callable[..., str]) -> None:
    run("predict", "runs/mine/bundle", "mydata/images", "--out", "predictions")
    confusion = np.zeros((3, 3), int)
    config = (place / "runs/mine/config.yaml").read_text()
    assert "fractions" in config
    from visionkit.datasets.folder import Folder

    test = Folder(root=place / "mydata", split="test", fractions=[0.6, 0.2, 0.2])
    for index in range(len(test)):
        predicted = np.asarray(Image.open(place / "predictions/segmentation/mask" / f"{test.key(index)}.png"))
        np.add.at(confusion, (test[index]["mask"].numpy(), predicted), 1)
    assert confusion.sum() > 0
    assert confusion.tolist() == metrics(place)["confusion"]


def test_exporting_again_gives_the_same_weights(place: Path, run: Callable[..., str]) -> None:
    run("export", "run=runs/mine", "out=again")
    first, second = ((place / folder / "model.safetensors").read_bytes() for folder in ("runs/mine/bundle", "again"))
    assert first == second


def test_the_same_command_is_refused_without_resume_and_finished_with_it(place: Path) -> None:
    words = ["task=segmentation/fpn", "dataset=folder", "dataset.root=mydata", "run=runs/mine"]
    done = train(place, *words)
    assert done.returncode == 2
    assert "resume=auto" in done.stderr
    assert done.stderr.count("\n") == 1
