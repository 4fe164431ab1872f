"""A run that was interrupted anywhere and resumed ends with the weights of one that was not."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from toys import toy_datamodule, toy_module, toy_trainer

from visionkit.checkpoint import Checkpoints, find, load_checkpoint

LENGTH = 10  # three batches of three an epoch, one sample left out in each


class Interrupt(Callback):
    """Stands for a kill: after so many batches nothing more of the process happens."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if not self.left:
            raise KilledError
        self.left -= 1


class KilledError(BaseException):
    pass


def fit(folder: Path, kills: tuple[int, ...] = (), workers: int = 0, **options: object) -> dict[str, torch.Tensor]:
    for batches in (*kills, 10**6):
        datamodule = toy_datamodule(LENGTH, workers)
        module = toy_module(datamodule)
        saves = Checkpoints(every_n_steps=options.pop("every_n_steps", 1))  # type: ignore[arg-type]
        options["every_n_steps"] = saves.every_n_steps
        trainer = toy_trainer(
            folder,
            Interrupt(batches),
            saves,
            **{key: value for key, value in options.items() if key != "every_n_steps"},
        )
        newest = find(folder, "last") if list(folder.glob("checkpoints/step_*.ckpt")) else None
        try:
            trainer.fit(module, datamodule=datamodule, ckpt_path=newest)
        except KilledError:
            continue
    return {key: value.clone() for key, value in module.state_dict().items()}


def assert_identical(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return fit(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("batches", range(1, 9))
def test_interrupted_after_any_batch(batches: int, uninterrupted: dict[str, torch.Tensor], tmp_path: Path) -> None:
    assert_identical(fit(tmp_path, (batches,)), uninterrupted)


def test_interrupted_again_and_again(uninterrupted: dict[str, torch.Tensor], tmp_path: Path) -> None:
    assert_identical(fit(tmp_path, (2, 2, 1, 2)), uninterrupted)


def test_checkpoints_older_than_the_interruption(uninterrupted: dict[str, torch.Tensor], tmp_path: Path) -> None:
    assert_identical(fit(tmp_path, (5, 3), every_n_steps=2), uninterrupted)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int, uninterrupted: dict[str, torch.Tensor], tmp_path: Path) -> None:
    assert_identical(fit(tmp_path, (4,), workers=workers), uninterrupted)


def test_with_gradient_accumulation(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", accumulate_grad_batches=2)
    for batches in (1, 2, 3, 4, 5):
        assert_identical(fit(tmp_path / str(batches), (batches,), accumulate_grad_batches=2), whole)


def test_with_validation_within_the_epoch_and_limited_batches(tmp_path: Path) -> None:
    options = {"val_check_interval": 1, "limit_train_batches": 2, "limit_val_batches": 1}
    whole = fit(tmp_path / "whole", **options)
    for batches in (1, 2, 3):
        assert_identical(fit(tmp_path / str(batches), (batches,), **options), whole)


def test_the_best_checkpoint_is_the_one_an_uninterrupted_run_finds(tmp_path: Path) -> None:
    fit(tmp_path / "whole")
    fit(tmp_path / "parts", (3, 2))
    best = [load_checkpoint(find(tmp_path / part, "best")) for part in ("whole", "parts")]
    assert best[0]["global_step"] == best[1]["global_step"]
    assert_identical(best[0]["state_dict"], best[1]["state_dict"])


def test_seed_and_order_matter(uninterrupted: dict[str, torch.Tensor], tmp_path: Path) -> None:
    datamodule = toy_datamodule(LENGTH)
    datamodule.seed = 1
    module = toy_module(datamodule)
    toy_trainer(tmp_path).fit(module, datamodule=datamodule)
    assert not torch.equal(
        module.state_dict()["network.encoder.stem.0.weight"], uninterrupted["network.encoder.stem.0.weight"]
    )
