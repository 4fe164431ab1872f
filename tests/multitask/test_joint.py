"""Several sources and tasks in one training: each pays for what it has, on one process as on two, and after a stop."""

import os
import socket
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import forked
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.multiprocessing import start_processes
from toys import ToyDecoder, toy_trainer

from visionkit.callbacks.conflicts import GradientConflicts
from visionkit.checkpoint import Checkpoints
from visionkit.datamodule import DataModule, Source
from visionkit.datasets.mixtures import ByLoss, Each, Mixture, RoundRobin
from visionkit.datasets.synthetic import Shapes
from visionkit.datasets.synthetic_edges import ShapeEdges
from visionkit.losses.segmentation import CrossEntropy
from visionkit.module import VisionModule
from visionkit.multitask.adaptive import DynamicAverage, GradNorm, Uncertainty
from visionkit.multitask.aggregation import Aggregated, aligned_mtl, pcgrad
from visionkit.multitask.balance import Fixed
from visionkit.network import Network
from visionkit.tasks.edges import EdgeDetection
from visionkit.tasks.segmentation import Segmentation

pytestmark = pytest.mark.early
BALANCES = [Fixed, Uncertainty, DynamicAverage, GradNorm, partial(Aggregated, weighting=pcgrad)]


class PlainEncoder(nn.Module):
    """Convolutions without statistics of the batch, so that a batch in halves is the same batch."""

    channels, strides, spatial_dims, in_chans = (4, 8), (2, 4), 2, 3

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 8, 3, 2, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.stem(image).relu()
        return [fine, self.deep(fine).relu()]


class OneChannel(ToyDecoder):
    """An edge is one channel."""

    def __init__(self, **shape) -> None:  # type: ignore[no-untyped-def]
        super().__init__(**shape)
        self.head = nn.Conv2d(self.out_channels, 1, 1)
        nn.init.ones_(self.head.bias)  # wrong at first, so that there is something to learn at once
        self.out_channels = 1

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.head(super().forward(features))


class Squares(nn.Module):
    """A loss whose mean over a batch is the mean of its halves."""

    weight = 1.0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return (logits - target).square().mean()


class Steps(Callback):
    """The loss of each step and task, over all processes."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self.losses.append(
            {name: float(trainer.strategy.reduce(value.detach())) for name, value in pl_module.step_losses.items()}
        )


def module_and_data(mixture: Mixture, balance=Fixed, batch_size: int = 4) -> tuple[VisionModule, DataModule]:
    shapes = Source(partial(Shapes, length={"train": 8, "val": 2, "test": 1}, size=(20, 28)), batch_size=batch_size)
    outlines = Source(
        partial(ShapeEdges, length={"train": 14, "val": 2, "test": 1}, size=24, annotators=1), batch_size=batch_size
    )
    datamodule = DataModule({"shapes": shapes, "outlines": outlines}, seed=0, workers=0, mixture=mixture)
    torch.manual_seed(0)
    tasks = {
        "segmentation": partial(Segmentation, decoder=ToyDecoder, losses={"cross_entropy": CrossEntropy()}),
        "edges": partial(EdgeDetection, decoder=OneChannel, losses={"squares": Squares()}),
    }
    network = Network(PlainEncoder(), tasks, datamodule.labels)
    optimizer = partial(torch.optim.SGD, lr=0.05)
    return VisionModule(network, optimizer, None, balance(tuple(tasks))), datamodule


def train(folder: Path, mixture: Mixture, balance=Fixed, batch_size: int = 4, epochs: int = 3, **options) -> dict:
    module, datamodule = module_and_data(mixture, balance, batch_size)
    steps = Steps()
    trainer = toy_trainer(folder, steps, max_epochs=epochs, num_sanity_val_steps=0, limit_val_batches=0, **options)
    trainer.fit(module, datamodule=datamodule)
    return {"losses": steps.losses, "weights": module.state_dict()}


def one_of_two(rank: int, port: int, folder: str) -> None:
    os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    options = {"devices": 2, "strategy": "ddp_find_unused_parameters_true", "batch_size": 2}
    for name, (mixture, balance) in RUNS.items():
        torch.save(train(Path(folder), mixture(), balance, **options), Path(folder) / f"{name}-{rank}.pt")


RUNS = {
    "each": (Each, Fixed),
    "turns": (RoundRobin, Fixed),
    "by_loss": (ByLoss, DynamicAverage),
    "gradnorm": (Each, GradNorm),
    "pcgrad": (Each, partial(Aggregated, weighting=pcgrad)),
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start_processes(one_of_two, args=(port, str(folder)), nprocs=2, start_method=forked.START_METHOD)
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_with_uneven_sources_have_the_losses_of_one(name: str, two: Path, tmp_path: Path) -> None:
    mixture, balance = RUNS[name]
    alone = train(tmp_path, mixture(), balance)
    for rank in range(2):
        found = torch.load(two / f"{name}-{rank}.pt", weights_only=False)
        assert len(found["losses"]) == len(alone["losses"]) > 5
        for own, other in zip(alone["losses"], found["losses"], strict=True):
            assert own == pytest.approx(other, abs=1e-5)
        for key, value in alone["weights"].items():
            torch.testing.assert_close(found["weights"][key], value, atol=1e-5, rtol=0, equal_nan=True, msg=key)


@pytest.mark.parametrize("balance", BALANCES)
def test_every_balance_learns_both_tasks(balance, tmp_path: Path) -> None:
    losses = train(tmp_path, Each(), balance, epochs=5)["losses"]
    for task in ("segmentation", "edges"):
        first, last = (sum(step[task] for step in epoch) for epoch in (losses[:3], losses[-3:]))
        assert last < first


def test_a_step_of_one_source_leaves_the_other_decoder_alone(tmp_path: Path) -> None:
    losses = train(tmp_path, RoundRobin())["losses"]
    assert [list(step) for step in losses[:4]] == [["segmentation"], ["edges"]] * 2
    assert {len(step) for step in losses} == {1}


@pytest.mark.parametrize(("mixture", "balance"), [(ByLoss, DynamicAverage), (RoundRobin, GradNorm)])
def test_a_run_that_was_stopped_ends_with_the_same_bits(mixture, balance, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", mixture(), balance)
    module, datamodule = module_and_data(mixture(), balance)
    checkpoints = Checkpoints(every_n_steps=1, every_n_minutes=60, keep=100)
    options = {"num_sanity_val_steps": 0, "limit_val_batches": 0}
    trainer = toy_trainer(tmp_path / "part", checkpoints, max_epochs=3, max_steps=7, **options)
    trainer.fit(module, datamodule=datamodule)
    saved = sorted((tmp_path / "part").rglob("step_*.ckpt"))
    for file in (saved[0], saved[-2]):  # the last one ended its epoch early
        module, datamodule = module_and_data(mixture(), balance)
        trainer = toy_trainer(tmp_path / "rest", max_epochs=3, **options)
        trainer.fit(module, datamodule=datamodule, ckpt_path=file)
        for key, value in whole["weights"].items():
            torch.testing.assert_close(module.state_dict()[key], value, atol=0, rtol=0, equal_nan=True, msg=key)


class KilledError(BaseException):
    pass


class KillAfter(Callback):
    """Stands for a kill at the end of an epoch, right after its checkpoint: it comes behind ``Checkpoints``."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == self.steps:
            raise KilledError


@pytest.mark.parametrize("steps", [5, 10])
def test_a_run_killed_at_the_end_of_an_epoch_ends_with_the_same_bits(steps: int, tmp_path: Path) -> None:
    found = []
    options = {"num_sanity_val_steps": 0, "limit_val_batches": 0}
    for kill in (10**6, steps):
        folder, mixture = tmp_path / str(kill), ByLoss(power=3.0)
        module, datamodule = module_and_data(mixture, DynamicAverage)
        checkpoints = Checkpoints(every_n_steps=5, every_n_minutes=60)
        trainer = toy_trainer(folder, checkpoints, KillAfter(kill), max_epochs=4, **options)
        if kill == steps:
            with pytest.raises(KilledError):
                trainer.fit(module, datamodule=datamodule)
            mixture = ByLoss(power=3.0)
            module, datamodule = module_and_data(mixture, DynamicAverage)
            trainer = toy_trainer(folder, max_epochs=4, **options)
            trainer.fit(module, datamodule=datamodule, ckpt_path=folder / f"checkpoints/step_{steps:08d}.ckpt")
        else:
            trainer.fit(module, datamodule=datamodule)
        found.append((module.state_dict(), mixture.history))
    (whole, history), (weights, resumed) = found
    assert len(history) == 4
    assert resumed == history
    for key, value in whole.items():
        torch.testing.assert_close(weights[key], value, atol=0, rtol=0, equal_nan=True, msg=key)


def test_grey_pictures_pass_through_an_encoder_of_colours() -> None:
    module, _ = module_and_data(Each())
    grey = torch.randint(0, 256, (1, 1, 9, 11), dtype=torch.uint8)
    for one, three in zip(module.network.encode(grey), module.network.encode(grey.expand(1, 3, 9, 11)), strict=True):
        assert torch.equal(one, three)


def test_conflicts_are_logged_and_drawn(tmp_path: Path) -> None:
    module, datamodule = module_and_data(Each())
    conflicts = GradientConflicts(every_n_steps=1)
    trainer = toy_trainer(tmp_path, conflicts, max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(module, datamodule=datamodule)
    assert -1 <= float(trainer.callback_metrics["train/conflict/segmentation~edges"]) <= 1
    assert (tmp_path / "pictures" / "conflicts.png").stat().st_size > 500


def test_conflicts_are_those_of_the_gradients_before_they_are_weighted() -> None:
    gradients = {"a": torch.tensor([10.0, 0.0]), "b": torch.tensor([0.9, 0.43])}
    balance, shared = Aggregated(["a", "b"], aligned_mtl), nn.Parameter(torch.ones(2))
    terms = {name: {"loss": balance.gate(name, [shared * 1])[0] @ own} for name, own in gradients.items()}
    total, losses = balance(terms, [shared])
    weights = balance.weights_now()
    assert min(weights.values()) < 0  # else no cosine would change its sign
    logged = {}
    module = SimpleNamespace(step_losses=losses, shared=[shared], balance=balance)
    module.log = lambda name, value, **_: logged.update({name: value})
    GradientConflicts(every_n_steps=1).on_before_backward(SimpleNamespace(global_step=0), module, total)
    wanted = torch.cosine_similarity(*gradients.values(), dim=0)
    assert logged == {"train/conflict/a~b": pytest.approx(float(wanted), abs=1e-4)}
    assert float(wanted) == pytest.approx(0.902, abs=1e-3)
    total.backward()
    torch.testing.assert_close(shared.grad, sum(weights[name] * own for name, own in gradients.items()))


def test_measuring_conflicts_changes_no_bit(tmp_path: Path) -> None:
    found = []
    for every in (0, 1):
        module, datamodule = module_and_data(Each())
        trainer = toy_trainer(tmp_path, GradientConflicts(every), max_epochs=2, num_sanity_val_steps=0)
        trainer.fit(module, datamodule=datamodule)
        found.append(module.network.state_dict())
    assert all(torch.equal(found[0][key], value) for key, value in found[1].items())


def test_sources_may_differ_in_length_and_size() -> None:
    _, datamodule = module_and_data(Each())
    shapes = [len(batch.batches) for batch in datamodule.train_dataloader()]
    assert shapes == [2, 2, 2]
    for batch in datamodule.train_dataloader():
        sizes = [source["image"].shape[2:] for source in batch.batches.values()]
        assert all(first != second for first, second in pairwise(sizes))
