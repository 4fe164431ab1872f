"""kill -9 at any moment, then the same command again: the run ends as if nothing had happened."""

import random
import time
from pathlib import Path

import forked
import pytest
import torch

from visionkit.checkpoint import find, load_checkpoint

pytestmark = pytest.mark.early
STEPS = 24


def words(folder: Path, workers: int) -> list[str]:
    options = {
        "experiment": "segmentation/quickstart",
        "encoder.model": "test_resnet",
        "+tasks.segmentation.decoder.widths": "[16, 8]",
        "dataset.layout.length": "{train: 64, val: 8, test: 8}",
        "dataset.layout.size": "48",
        "dataset.batch_size": "8",
        "trainer": "cpu",
        "trainer.max_epochs": "3",
        "checkpoint.every_n_steps": "2",
        "logger": "local",
        "export": "false",
        "test": "false",
        "resume": "auto",
        "workers": str(workers),
        "run": str(folder),
    }
    return [f"{key}={value}" for key, value in options.items()]


def train(folder: Path, workers: int) -> None:
    ended = forked.train(folder.parent, *words(folder, workers))
    assert ended.returncode == 0, ended.stderr


def kill_at(folder: Path, workers: int, step: int, delay_s: float) -> None:
    """Starts training and kills it some time after it has written a checkpoint of that step or a later one."""
    process = forked.start_training(folder.parent, words(folder, workers), folder.parent)
    while process.is_alive():
        saved = [int(path.stem.partition("_")[2]) for path in folder.glob("checkpoints/step_*.ckpt")]
        if max(saved, default=0) >= step:
            time.sleep(delay_s)
            process.kill()
        time.sleep(0.002)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(find(folder, "last"))
    assert checkpoint["global_step"] == STEPS
    return checkpoint["state_dict"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(folder, workers=0)
    return folder


def check(folder: Path, uninterrupted: Path) -> None:
    found, wanted = weights(folder), weights(uninterrupted)
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []
    histories = [(run / "metrics.jsonl").read_text().splitlines() for run in (folder, uninterrupted)]
    assert len(histories[0]) >= len(histories[1]) - 1


def test_killed_once(uninterrupted: Path, tmp_path: Path) -> None:
    kill_at(tmp_path / "run", 0, step=10, delay_s=0.01)
    train(tmp_path / "run", workers=0)
    check(tmp_path / "run", uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("trial", range(20))
def test_killed_at_a_random_moment(trial: int, workers: int, uninterrupted: Path, tmp_path: Path) -> None:
    chance = random.Random(100 * workers + trial)
    kill_at(tmp_path / "run", workers, step=chance.randrange(0, STEPS), delay_s=chance.random() * 0.5)
    train(tmp_path / "run", workers)
    check(tmp_path / "run", uninterrupted)
