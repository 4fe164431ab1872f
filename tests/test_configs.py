"""Contracts over conf/: every encoder with every task, every dataset, every experiment; nothing is listed by hand."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig, OmegaConf

from visionkit.assemble import make_module, make_network
from visionkit.bundle.folder import load, save
from visionkit.config import build, compose, conf_dir, options
from visionkit.datamodule import Source
from visionkit.network import Network
from visionkit.types import Batch, Classes

LABELS = {"mask": Classes(("sky", "road", "car"))}
HEAVY = 15_000_000
"""Parameters from which on a training step and a bundle are tried in the slow tests only."""
FILES = sorted(conf_dir().rglob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    return compose("train", list(overrides))


def batch(*space: int, count: int = 2) -> Batch:
    torch.manual_seed(0)
    return Batch(
        key=[str(index) for index in range(count)],
        image=torch.randint(0, 256, (count, 3, *space), dtype=torch.uint8),
        valid=torch.ones(count, *space, dtype=torch.bool),
        mask=torch.randint(-1, 3, (count, *space)),
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(conf_dir())))
def test_every_file_opens_with_its_description(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ")
    assert 15 < len(lines[0]) <= 160


def pairs() -> Iterator[object]:
    """Each encoder with a task in turn and each task with the first encoder; all others are marked slow."""
    encoders, tasks = options("encoder"), options("task")
    for number, encoder in enumerate(encoders):
        for place, task in enumerate(tasks):
            quick = number % len(tasks) == place or encoder == "resnet18"
            yield pytest.param(encoder, task, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize(("encoder", "task"), pairs())
def test_every_encoder_with_every_task(encoder: str, task: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    cfg = composed(f"encoder={encoder}", f"task={task}")
    network = make_network(cfg, LABELS)
    for size in ((1, 1), (7, 3), (97, 131)):
        with torch.no_grad():
            outputs = network.eval()(torch.rand(1, 3, *size))
        assert all(output.shape[2:] == size for output in outputs.values())
    if sum(value.numel() for value in network.parameters()) < HEAVY or request.node.get_closest_marker("slow"):
        check_a_step(cfg, network)
        check_a_bundle(cfg, network, tmp_path)


def check_a_step(cfg: DictConfig, network: Network) -> None:
    module = make_module(cfg, network)
    before = {name: value.clone() for name, value in network.named_parameters()}
    optimizer = build(cfg.optimizer)(network.parameters())
    total, _ = module.balance(network.train().loss(batch(37, 41)))
    assert torch.isfinite(total)
    total.backward()
    assert [name for name, value in network.named_parameters() if value.requires_grad and value.grad is None] == []
    optimizer.step()
    assert any(not torch.equal(before[name], value) for name, value in network.named_parameters())


def check_a_bundle(cfg: DictConfig, network: Network, tmp_path: Path) -> None:
    save(
        network.eval(),
        tmp_path / "bundle",
        encoder_cfg=cfg.encoder,
        tasks_cfg=cfg.tasks,
        labels=LABELS,
        preprocessing={"channels": 3, "size": None},
        metrics={},
    )
    again = load(tmp_path / "bundle")[0].to(memory_format=torch.channels_last)  # a convolution's bits depend on it
    image = torch.rand(1, 3, 40, 36)
    with torch.no_grad():
        first, second = network(image), again(image)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_says_its_command_and_builds(experiment: str) -> None:
    text = (conf_dir() / "experiment" / f"{experiment}.yaml").read_text()
    assert f"python train.py experiment={experiment}" in text
    cfg = composed(f"experiment={experiment}", "run=.")
    make_module(cfg, make_network(cfg, LABELS))
    assert isinstance(build(cfg.dataset), Source)


@pytest.mark.parametrize("option", options("dataset"))
def test_every_dataset_builds(option: str) -> None:
    assert isinstance(build(composed(f"dataset={option}").dataset), Source)


@pytest.mark.parametrize("option", options("inference"))
def test_every_inference_gives_the_size_of_the_image(option: str) -> None:
    network = make_network(composed(f"inference={option}", "encoder=resnet18"), LABELS).eval()
    with torch.no_grad():
        predictions = network.predict(batch(21, 35, count=1))
    assert predictions["segmentation"]["mask"].shape == (1, 21, 35)


@pytest.mark.parametrize("option", options("callbacks"))
def test_every_set_of_callbacks_builds(option: str, tmp_path: Path) -> None:
    built = build(composed(f"callbacks={option}", f"run={tmp_path}").callbacks)
    assert all(isinstance(callback, Callback) for callback in built.values())


@pytest.mark.parametrize("option", options("optimizer"))
def test_every_optimizer_takes_a_step_down(option: str) -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = build(composed(f"optimizer={option}").optimizer)([weight])
    before = float(weight.detach().square().sum())
    weight.square().sum().backward()
    optimizer.step()
    assert float(weight.detach().square().sum()) < before


@pytest.mark.parametrize("option", options("schedule"))
def test_every_schedule_stays_between_nothing_and_the_full_rate(option: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=1.0)
    scheduler = build(composed(f"schedule={option}").schedule)(optimizer, total_steps=20)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) > 0.9


def test_every_option_of_the_trainer_is_reachable() -> None:
    wanted = set(inspect.signature(Trainer.__init__).parameters) - {"self", "logger", "callbacks"}
    for option in options("trainer"):
        cfg = composed(f"trainer={option}", "run=.")
        assert wanted <= set(cfg.trainer), wanted - set(cfg.trainer)
        assert set(cfg.trainer) - {"_target_"} <= wanted


def test_the_resolved_configuration_can_be_saved_and_read() -> None:
    cfg = composed("run=somewhere")
    plain = OmegaConf.to_yaml(cfg, resolve=True)
    assert OmegaConf.create(plain) == OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
