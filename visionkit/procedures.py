"""The procedures behind the commands: train a run from its configuration, evaluate one that is there."""

import json
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch import Trainer
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from visionkit.assemble import make_callbacks, make_datamodule, make_module, make_network, make_trainer
from visionkit.autobatch import fastest_batch_size
from visionkit.baselines.gains import Gain
from visionkit.bundle.onnx import require_packages
from visionkit.bundle.safety import offline
from visionkit.bundle.weights import require_fitting
from visionkit.callbacks.progress import progress_bar
from visionkit.callbacks.summary import closing_summary
from visionkit.checkpoint import Checkpoints, find, load_checkpoint
from visionkit.config import build
from visionkit.datamodule import DataModule
from visionkit.errors import ConfigError, DataError, ExportError, VisionkitError
from visionkit.exporting import export_run
from visionkit.judging import Origin, against_baselines, judge, report_on, write_json
from visionkit.learnt_labels import learnt_labels, read_as_learnt, resumed_labels, run_labels, write_labels
from visionkit.module import VisionModule
from visionkit.reports.examples import ExampleCollector
from visionkit.reports.samples import write_samples
from visionkit.runs import Run, evaluation_place
from visionkit.warm_start import start_from

Results = dict[str, dict[str, Tensor]]


def train_run(cfg: DictConfig, run: Run) -> float | None:
    """Trains, or continues, then evaluates the best weights and exports them; returns the best monitored figure."""
    begin_s = time.monotonic()
    _quiet()
    datamodule = make_datamodule(cfg)
    labels = resumed_labels(run.folder, datamodule.labels) if run.resumed else datamodule.labels
    network = make_network(cfg, labels)
    start = _newest(run.folder) if run.resumed else None
    begun = start_from(network, cfg.start_from) if cfg.start_from is not None and start is None else None
    module = make_module(cfg, network)
    _check_before(cfg, module, datamodule)
    checkpoints: Checkpoints = build(cfg.checkpoint)
    trainer = make_trainer(cfg, run.folder, [*make_callbacks(cfg), checkpoints], list(build(cfg.logger).values()))
    _choose_batch_sizes(run.folder, datamodule, module, trainer)
    if trainer.is_global_zero:
        write_labels(run.folder, labels)
    for logger in trainer.loggers:
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    if trainer.is_global_zero:
        print(f"run folder: {run.folder}" + (f", continuing from {start.name}" if start else ""), flush=True)
        if begun is not None:
            print(begun, flush=True)
    succeeded = False
    try:
        with _interruptible(trainer):
            trainer.fit(module, datamodule=datamodule, ckpt_path=start)
            if not cfg.trainer.fast_dev_run:
                _judge_last(run.folder, trainer, module, datamodule, checkpoints)
                _conclude(cfg, run.folder, trainer, module, datamodule, begin_s)
        succeeded = True
    finally:
        for logger in trainer.loggers:
            if hasattr(logger, "finish"):  # W&B's; others have nothing to end
                logger.finish(succeeded)
    return checkpoints.best


def evaluate_run(cfg: DictConfig, settings: DictConfig, changes: list[str]) -> Results:
    """Evaluates a checkpoint of a run on a split; writes metrics.json and the report, and prints the table.

    ``changes`` are what the command set in the run's configuration.
    """
    begin_s = time.monotonic()
    _quiet()
    folder = Path(settings.run)
    place = evaluation_place(folder, settings.checkpoint, changes)
    if settings.split not in ("val", "test"):
        raise ConfigError("C17", f"split={settings.split}", "is not evaluated", "choose test or val")
    path = find(folder, settings.checkpoint)
    checkpoint = load_checkpoint(path)
    data = cfg.copy()
    read_as_learnt(data, run_labels(folder))
    datamodule = make_datamodule(data, labels_of=settings.split)
    without = cfg.copy()
    without.encoder = OmegaConf.create(offline(OmegaConf.to_container(cfg.encoder, resolve=True)))
    module = make_module(cfg, make_network(without, learnt_labels(folder, cfg, datamodule.labels)))
    require_fitting(checkpoint["state_dict"], module.state_dict(), path, changes)
    module.load_state_dict(checkpoint["state_dict"])
    collector = ExampleCollector()
    trainer = make_trainer(cfg, place, [collector, progress_bar()], logger=False)
    origin = Origin(folder, path, checkpoint["global_step"], tuple(changes), place)
    with _interruptible(trainer):
        judge(trainer, module, datamodule, collector, settings.split, origin)
    compared = against_baselines(cfg, place, module, datamodule, settings.split)
    report = report_on(cfg, origin, module, datamodule, collector, settings.split, settings.examples, compared)
    results = {settings.split: module.results.get(settings.split, {})}
    bundle = folder / "bundle" if (folder / "bundle").is_dir() else None
    seconds = time.monotonic() - begin_s
    closing_summary(folder, results, seconds, best=path, report=report, bundle=bundle, gains=compared)
    return results[settings.split]


@contextmanager
def _interruptible(trainer: Trainer) -> Iterator[None]:
    """Lightning ends the process at Ctrl-C by itself and without a word."""
    try:
        yield
    except SystemExit as error:
        if trainer.interrupted:
            raise KeyboardInterrupt("the same command with resume=auto continues") from error
        raise


def _check_before(cfg: DictConfig, module: VisionModule, datamodule: DataModule) -> None:
    """Finds out before hours of training what could only fail after them."""
    if cfg.export and cfg.onnx:
        require_packages()
    datamodule.examples("val")
    if cfg.test:
        try:
            datamodule.examples("test")
        except DataError as error:
            cfg.test = False
            print(f"visionkit: no test split, so val alone is evaluated ({error})", file=sys.stderr)


def _judge_last(
    folder: Path, trainer: Trainer, module: VisionModule, datamodule: DataModule, checkpoints: Checkpoints
) -> None:
    """Training by steps can end between two validations: its last weights are compared with the best, too."""
    if checkpoints.judged_step != trainer.global_step and list(folder.glob("checkpoints/step_*.ckpt")):
        module.load_state_dict(load_checkpoint(find(folder, "last"))["state_dict"])
        trainer.validate(module, datamodule=datamodule, verbose=False)
        checkpoints.judge_last(trainer, module)


def _conclude(
    cfg: DictConfig, folder: Path, trainer: Trainer, module: VisionModule, datamodule: DataModule, begin_s: float
) -> None:
    """Evaluates, reports and exports the best weights; says where everything is, also when one of these fails."""
    trainer.strategy.barrier()
    best = find(folder, "best") if (folder / "checkpoints" / "best.ckpt").is_file() else find(folder, "last")
    checkpoint = load_checkpoint(best)
    module.load_state_dict(checkpoint["state_dict"])
    module.results.clear()
    report = bundle = problem = None
    samples: Path | None = None
    compared: list[Gain] = []
    collector = ExampleCollector()
    trainer.callbacks.append(collector)  # type: ignore[attr-defined]
    origin = Origin(folder, best, checkpoint["global_step"], (), folder)
    loggers, trainer.loggers = trainer.loggers, []  # the curve of validation ends where training ended
    try:
        judge(trainer, module, datamodule, collector, "val", origin)
        trainer.loggers = loggers
        if cfg.test:
            judge(trainer, module, datamodule, collector, "test", origin)
        split = "test" if cfg.test else "val"
        compared = against_baselines(cfg, folder, module, datamodule, split) if trainer.is_global_zero else []
        report = report_on(cfg, origin, module, datamodule, collector, split, compared=compared)
        samples = write_samples(datamodule.examples(split), folder / "samples") if trainer.is_global_zero else None
    except VisionkitError as error:
        problem = error
    trainer.loggers = loggers
    if not trainer.is_global_zero:
        return
    if cfg.export:
        bundle, failed = _exported(folder, best, cfg.onnx)
        problem = problem or failed
    if bundle is not None:
        for logger in trainer.loggers:
            if hasattr(logger, "log_folder"):  # W&B takes the bundle as an artifact
                logger.log_folder(bundle, folder.name)
    places = [getattr(logger, "address", None) or getattr(logger, "folder", None) for logger in trainer.loggers]
    wandb = next((place for place in places if place), None)
    seconds = time.monotonic() - begin_s
    places_of = {"best": best, "bundle": bundle, "report": report, "wandb": wandb, "samples": samples}
    closing_summary(folder, module.results, seconds, **places_of, gains=compared)  # type: ignore[arg-type]
    if problem is not None:
        raise problem


def _exported(folder: Path, best: Path, onnx: bool) -> tuple[Path | None, VisionkitError | None]:
    """The bundle, without ONNX where that alone cannot be made, and what went wrong."""
    try:
        return export_run(folder, which=best.stem, onnx=onnx), None
    except ExportError as error:
        return export_run(folder, which=best.stem), error
    except VisionkitError as error:
        return None, error


def _newest(folder: Path) -> Path | None:
    return find(folder, "last") if list(folder.glob("checkpoints/step_*.ckpt")) else None


def _choose_batch_sizes(folder: Path, datamodule: DataModule, module: VisionModule, trainer: Trainer) -> None:
    """Replaces ``batch_size: auto``; what was found is kept with the run, so that a resumed one is the same."""
    path = folder / "batch_sizes.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    automatic = {name: source for name, source in datamodule.sources.items() if source.batch_size == "auto"}
    for name, source in automatic.items():
        if name not in known:
            context = trainer.precision_plugin.forward_context
            known[name] = fastest_batch_size(module, source, trainer.strategy.root_device, context=context)
        source.batch_size = known[name]
        print(f"dataset.batch_size=auto: {known[name]}", flush=True)
    if automatic and trainer.is_global_zero:
        write_json(path, known)


def _quiet() -> None:
    """Leaves out what libraries say to their own developers."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
