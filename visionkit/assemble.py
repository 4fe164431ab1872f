"""From a configuration to the objects of a run."""

from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from omegaconf import DictConfig, OmegaConf

from visionkit.checkpoint import VerifiedCheckpointIO
from visionkit.config import build
from visionkit.datamodule import DataModule, Source
from visionkit.errors import ConfigError, ResourceError
from visionkit.module import VisionModule
from visionkit.network import Network
from visionkit.seeding import fold


def make_datamodule(cfg: DictConfig, labels_of: str = "train") -> DataModule:
    """The sources of a configuration: ``dataset`` is one, or ``dataset.sources`` names several."""
    nodes = cfg.dataset.sources if "sources" in cfg.dataset else {"dataset": cfg.dataset}
    sources = {str(name): cast(Source, build(node)) for name, node in nodes.items()}
    return DataModule(sources, seed=cfg.seed, workers=cfg.workers, mixture=build(cfg.mixture), labels_of=labels_of)


def make_network(cfg: DictConfig, labels: dict[str, Any]) -> Network:
    """Encoder and tasks with initial weights that derive from the seed."""
    torch.manual_seed(fold(cfg.seed, "initial weights"))
    tasks = {str(name): build(task) for name, task in cfg.tasks.items()}
    return Network(build(cfg.encoder), tasks, labels)


def make_module(cfg: DictConfig, network: Network) -> VisionModule:
    """The network with its optimizer, schedule and balance."""
    return VisionModule(
        network,
        optimizer=build(cfg.optimizer),
        schedule=build(cfg.schedule),
        balance=build(cfg.balance)(tasks=tuple(network.tasks)),
        seed=cfg.seed,
        channels_last=cfg.channels_last,
        compile_network=cfg.compile,
    )


def make_callbacks(cfg: DictConfig) -> list[Callback]:
    """The callbacks of a configuration, by their order."""
    built = build(cfg.callbacks)
    for name, callback in built.items():
        if not isinstance(callback, Callback):
            fix = f"choose callbacks={name} or give its _target_"
            raise ConfigError("C31", f"callbacks.{name}", "is no callback", fix)
    return list(built.values())


def make_trainer(cfg: DictConfig, folder: Path, callbacks: list[Callback], logger: Any) -> Trainer:
    """Lightning's Trainer with verified checkpoints; ``precision: auto`` is bf16 where the hardware has it."""
    options = dict(OmegaConf.to_container(cfg.trainer, resolve=True))  # type: ignore[arg-type]
    on_cpu = options["accelerator"] == "cpu" or not torch.cuda.is_available()
    if options["accelerator"] in ("gpu", "cuda") and on_cpu:
        raise ResourceError("R02", "trainer.accelerator", "there is no GPU that torch can use", "add trainer=cpu")
    if options["precision"] == "auto":
        options["precision"] = "bf16-mixed" if _bf16_is_fast(on_cpu) else None
    options["sync_batchnorm"] = options["sync_batchnorm"] and not on_cpu
    if not options["enable_progress_bar"]:
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    options["default_root_dir"] = str(folder)
    plugins = [*(options.pop("plugins", None) or []), VerifiedCheckpointIO()]
    return build(options, callbacks=callbacks, logger=logger, plugins=plugins)


def _bf16_is_fast(on_cpu: bool) -> bool:
    if not on_cpu:
        return torch.cuda.get_device_capability() >= (8, 0)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
