"""Contracts over conf/: every encoder with every task, every dataset, every experiment; nothing is listed by hand."""

import inspect
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import contract
import pytest
import torch
import yaml
from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig, OmegaConf

from visionkit.assemble import make_module, make_network
from visionkit.bundle.folder import load, save
from visionkit.bundle.safety import known_targets, targets
from visionkit.config import build, compose, conf_dir, options
from visionkit.datamodule import Source
from visionkit.errors import ConfigError
from visionkit.layers.channels_last import channels_last_
from visionkit.module import flatten
from visionkit.network import Network

pytestmark = pytest.mark.early
FILES = sorted(conf_dir().rglob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    return compose("train", list(overrides))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(conf_dir())))
def test_every_file_opens_with_its_description(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ")
    assert 15 < len(lines[0]) <= 160


def quick_encoders() -> list:  # type: ignore[type-arg]
    """All; of the configurations of one class the last, and every eighth before it, are enough for the quick tests."""
    configs = {name: yaml.safe_load((conf_dir() / f"encoder/{name}.yaml").read_text()) for name in options("encoder")}
    kinds = {name: str(cfg.get("_target_", cfg.get("defaults"))) for name, cfg in configs.items()}
    seen = Counter[str]()
    found = []
    for name, kind in reversed(kinds.items()):
        found.append(pytest.param(name, marks=pytest.mark.slow if seen[kind] % 8 else ()))
        seen[kind] += 1
    return found[::-1]


@pytest.mark.parametrize("encoder", quick_encoders())
def test_every_encoder_with_the_task_whose_turn_it_is(encoder: str) -> None:
    heavy = contract.about(encoder).parameters > contract.HEAVY
    with torch.device(contract.about(encoder).device if heavy else "cpu"):
        cfg, network = contract.network_of(encoder, contract.in_turn(encoder))
        check_sizes(network)
    if not heavy:
        check_a_step(cfg, network)


@pytest.mark.parametrize("task", options("task"))
def test_every_task_with_a_small_encoder_of_each_dimension(task: str, tmp_path: Path) -> None:
    assert contract.about_task(task).dims
    for dims in sorted(contract.about_task(task).dims):
        encoder, *small = contract.SMALL[dims]
        if contract.about_task(task).heavy:
            with torch.device("meta"):
                check_sizes(contract.network_of(encoder, task, *small)[1], contract.SIZES[dims][-1:])
        else:
            check_all(*contract.network_of(encoder, task, *small), tmp_path / str(dims))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", options("encoder"))
@pytest.mark.parametrize("task", options("task"))
def test_every_encoder_with_every_task(encoder: str, task: str, tmp_path: Path) -> None:
    if contract.about(encoder).dims in contract.about_task(task).dims:
        check_all(*contract.network_of(encoder, task), tmp_path)
    else:
        with pytest.raises(ConfigError, match=contract.REFUSED):
            contract.network_of(encoder, task)


def check_all(cfg: DictConfig, network: Network, folder: Path) -> None:
    check_sizes(network)
    check_a_step(cfg, network)
    check_an_evaluation(network)
    check_a_bundle(cfg, network, folder)


def check_sizes(network: Network, sizes: Sequence[tuple[int, ...]] | None = None) -> None:
    """Maps are as large as the image, whatever its size."""
    network.eval()
    for size in sizes or contract.SIZES[network.encoder.spatial_dims]:
        with torch.no_grad():
            outputs = network(contract.images(network, *size))
        for name, task in network.named_tasks.items():
            assert outputs[name].shape[2:] == size or not getattr(task, "dense", True)


def check_a_step(cfg: DictConfig, network: Network) -> None:
    """The loss is finite, its gradient reaches every parameter, and the optimizer changes them."""
    module = make_module(cfg, network)
    before = {name: value.clone() for name, value in network.named_parameters()}
    optimizer = build(cfg.optimizer)(network.parameters())
    batch = contract.batch_for(network, *contract.SPACE[network.encoder.spatial_dims])
    total, _ = module.balance(network.train().loss(batch, gate=module.balance.gate), module.shared)
    assert torch.isfinite(total)
    total.backward()
    assert [name for name, value in network.named_parameters() if value.requires_grad and value.grad is None] == []
    optimizer.step()
    assert any(not torch.equal(before[name], value) for name, value in network.named_parameters())


def check_an_evaluation(network: Network) -> None:
    """Decisions are scored, and the monitored metric is among the figures."""
    batch = contract.batch_for(network.eval(), *contract.SPACE[network.encoder.spatial_dims])
    with torch.no_grad():
        predictions = network.predict(batch)
    for name, task in network.named_tasks.items():
        task.update(predictions[name], batch)
        figures = flatten("", task.metrics.compute(), getattr(task.labels, "names", ()))
        assert f"/{task.monitor.metric}" in figures
        assert len(task.scores(predictions[name], batch)) == 2
        task.metrics.reset()


def check_a_bundle(cfg: DictConfig, network: Network, folder: Path, labels: dict[str, Any] = contract.LABELS) -> None:
    """What is loaded again gives the same bits."""
    dims = network.encoder.spatial_dims
    save(
        network.eval(),
        folder / "bundle",
        encoder_cfg=cfg.encoder,
        tasks_cfg=cfg.tasks,
        labels=labels,
        preprocessing={"channels": network.encoder.in_chans, "size": None, "spatial_dims": dims},
        metrics={},
    )
    again = load(folder / "bundle")[0]
    channels_last_(again)  # a convolution's bits depend on it
    image = contract.images(network, *(length + 3 for length in contract.SPACE[dims]))
    with torch.no_grad():
        first, second = network(image), again(image)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_says_its_command_and_builds(experiment: str) -> None:
    text = (conf_dir() / "experiment" / f"{experiment}.yaml").read_text()
    assert f"python train.py experiment={experiment}" in text
    cfg = composed(f"experiment={experiment}", "run=.")
    make_module(cfg, make_network(cfg, contract.LABELS))
    parts = [cfg.encoder, cfg.tasks, *([cfg.dataset.prepare] if cfg.dataset.get("prepare") else [])]
    named = targets([OmegaConf.to_container(part, resolve=True) for part in parts])
    assert named <= known_targets(), "a bundle of it would not be read"
    sources = list(build(cfg.dataset.sources).values()) if "sources" in cfg.dataset else [build(cfg.dataset)]
    assert sources
    assert all(isinstance(source, Source) for source in sources)


@pytest.mark.parametrize("option", options("inference"))
def test_every_inference_gives_the_size_of_the_image(option: str) -> None:
    network = make_network(composed(f"inference={option}", "encoder=resnet18"), contract.LABELS).eval()
    with torch.no_grad():
        predictions = network.predict(contract.batch_for(network, 21, 35, count=1))
    assert predictions["segmentation"]["mask"].shape == (1, 21, 35)


@pytest.mark.parametrize("option", options("generation"))
def test_every_generation_reads_with_the_readers_of_its_kind(option: str) -> None:
    task = "ctc" if option.startswith("ctc") else "attention"
    guided = ["guidance=ctc"] if option.startswith("joint") else []
    cfg = composed(f"generation={option}", f"task=handwriting/{task}", "encoder=crnn", *guided)
    check_an_evaluation(make_network(cfg, contract.LABELS))


@pytest.mark.parametrize("task", ["attention", "transformer", "ctc", "recurrent_ctc", "svtrv2"])
@pytest.mark.parametrize("option", options("guidance"))
def test_every_guidance_trains_with_readers_of_both_kinds(option: str, task: str) -> None:
    cfg = composed(f"guidance={option}", f"task=handwriting/{task}", "encoder=crnn")
    network = make_network(cfg, contract.LABELS)
    assert network.named_tasks["handwriting"].reader.guidance is not None
    check_a_step(cfg, network)


@pytest.mark.parametrize("option", options("tokenizer"))
def test_every_tokenizer_reads_and_travels_in_a_bundle(option: str, tmp_path: Path) -> None:
    overrides = (f"tokenizer={option}", "task=handwriting/attention", "encoder=crnn", "dataset=line_folder")
    cfg = composed(*overrides)
    rules = build(cfg.dataset.layout.text)
    labels = {"text": rules.labels(["ab ab", "ab c"])}
    network = make_network(cfg, labels)
    check_a_step(cfg, network)
    check_an_evaluation(network)
    check_a_bundle(cfg, network, tmp_path, labels)


@pytest.mark.parametrize("option", options("ngrams"))
def test_all_ngrams_are_searched_by_and_travel_in_a_bundle(option: str, tmp_path: Path) -> None:
    overrides = (f"ngrams={option}", "generation=ctc_language", "task=handwriting/ctc", "encoder=crnn")
    cfg = composed(*overrides, "dataset=line_folder")
    labels = {"text": build(cfg.dataset.layout.text).labels(["ab ab", "ab c"])}
    assert labels["text"].ngrams
    network = make_network(cfg, labels)
    check_a_step(cfg, network)
    check_an_evaluation(network)
    check_a_bundle(cfg, network, tmp_path, labels)


@pytest.mark.parametrize("option", options("table_code"))
def test_every_code_of_tables_is_learnt_and_travels_in_a_bundle(option: str, tmp_path: Path) -> None:
    cfg = composed(f"table_code={option}", "task=tables/edd", "encoder=resnet18")
    network = make_network(cfg, contract.LABELS)
    check_a_step(cfg, network)
    check_an_evaluation(network)
    check_a_bundle(cfg, network, tmp_path)


def test_places_of_table_readers_travel_in_a_bundle(tmp_path: Path) -> None:
    cfg = composed("+task/tables@tasks.tables.decoder.places=_places", "task=tables/edd_boxes", "encoder=resnet18")
    network = make_network(cfg, contract.LABELS)
    check_a_step(cfg, network)
    check_a_bundle(cfg, network, tmp_path)


@pytest.mark.parametrize("option", options("metrics"))
def test_every_set_of_metrics_is_switched_on_by_one_word(option: str) -> None:
    network = make_network(
        composed(f"metrics={option}", "tasks.segmentation.monitor.metric=mean_dice"), contract.LABELS
    )
    check_an_evaluation(network)


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


@pytest.mark.parametrize("option", options("balance"))
def test_every_balance_gives_a_total_whose_gradient_reaches_all(option: str) -> None:
    torch.manual_seed(0)
    shared, heads = torch.nn.Linear(3, 4), {name: torch.nn.Linear(4, 1) for name in "ab"}
    balance = build(composed(f"balance={option}").balance)(tasks=tuple(heads))
    features = [shared(torch.randn(5, 3))]
    terms = {name: {"loss": head(balance.gate(name, features)[0]).square().mean()} for name, head in heads.items()}
    total, losses = balance(terms, list(shared.parameters()))
    total.backward()
    assert set(losses) == set(heads)
    assert torch.isfinite(total)
    for layer in (shared, *heads.values()):
        assert float(layer.weight.grad.abs().max()) > 0


@pytest.mark.parametrize("option", options("mixture"))
def test_every_mixture_takes_of_all_sources(option: str) -> None:
    mixture, batches = build(composed(f"mixture={option}").mixture), {"large": 9, "small": 3}
    steps = [mixture.chosen(batches, 0, step) for step in range(2 * mixture.epoch_steps(batches))]
    assert {name for names in steps for name in names} == set(batches)
    mixture.load_state_dict(mixture.state_dict())
    mixture.end_epoch()


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
