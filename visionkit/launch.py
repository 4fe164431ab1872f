"""What train.py, evaluate.py and the command line start: cheap checks first, the heavy imports after them."""

import math
import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from visionkit.config import COMPOSITION, check_roots, check_tasks, compose, conf_dir, explain, options
from visionkit.errors import ConfigError, guard
from visionkit.run_config import change_config, load_config, save_config
from visionkit.runs import Run, discard, join_sweep, open_run, save_command
from visionkit.selection import keep_only

_RUN_OF_RANK_ZERO = "VISIONKIT_RUN"
_INTERRUPTED = 130

KERNELS = "8192"
"""oneDNN compiles kernels for each shape; the 1024 that it keeps by itself are too few where every batch of lines has a
width of its own (benchmarks/widths.py)."""
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", KERNELS)  # read at the first kernel, and then no more


def train() -> None:
    """Hydra's entry: composes ``conf/train.yaml`` from sys.argv and trains, once or for each job of a sweep."""
    arguments = sys.argv[1:]
    flags = any(argument.startswith("-") and argument not in ("-m", "--multirun") for argument in arguments)
    chosen = {argument.partition("=")[0] for argument in arguments}
    if not flags and "experiment" not in chosen and not {"task", "dataset"} <= chosen:
        choices = " ".join(f"experiment={name}" for name in options("experiment"))
        fix = f"add one of: {choices} (or task= and dataset=; visionkit list shows all)"
        raise ConfigError("C01", "train.py", "nothing chosen to train", fix)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra would print several lines and exit by itself
    failed: list[int] = []

    def job(cfg: DictConfig) -> float | None:
        return _job(cfg, failed)

    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(job)()
    except COMPOSITION as error:
        raise explain(error, "train", arguments) from error
    if failed:
        print(f"visionkit: {len(failed)} of these runs failed; resume=auto goes on where they stopped", file=sys.stderr)
        sys.exit(failed[0])


def evaluate(arguments: list[str]) -> None:
    """Evaluates a run: ``run=DIR``, the keys of conf/evaluate.yaml, and keys or groups of the run's configuration.

    Any machine will do: one process, on a GPU where there is one, whatever the run was trained on.
    """
    own_keys = compose("evaluate", ["run=."])
    own = [argument for argument in arguments if argument.partition("=")[0] in own_keys]
    if not any(argument.startswith("run=") for argument in own):
        raise ConfigError("C15", "run", "no run folder given", "write run=runs/NAME, as printed when training ends")
    settings = compose("evaluate", own)
    changes = [argument for argument in arguments if argument not in own]
    cfg = load_config(settings.run)
    cfg.trainer.update(accelerator="auto", devices=1, num_nodes=1, strategy="auto")
    change_config(cfg, changes)
    check_tasks(cfg)
    check_roots(cfg)
    from visionkit.procedures import evaluate_run

    evaluate_run(cfg, settings, changes)


def _job(cfg: DictConfig, failed: list[int]) -> float | None:
    """Trains; a job of a sweep that fails does not take the others with it."""
    try:
        return guard(_train, cfg)  # hydra would add a line of its own to an error that reaches it
    except SystemExit as ended:
        if HydraConfig.get().mode != RunMode.MULTIRUN or ended.code == _INTERRUPTED:
            raise
        failed.append(int(ended.code or 1))
        return math.nan


def _train(cfg: DictConfig) -> float | None:
    check_tasks(cfg)
    check_roots(cfg)
    keep_only(cfg)
    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    if is_sweep and (cfg.trainer.devices != 1 or cfg.trainer.num_nodes != 1):
        fix = "start the runs one by one, or add trainer.devices=1 trainer.strategy=auto"
        raise ConfigError("C35", "-m", "cannot start runs of several processes", fix)
    run = _open(cfg) if _is_first_process() else _join(cfg)
    from visionkit.procedures import train_run

    try:
        best = train_run(cfg, run)
    finally:
        discard(run)
    if is_sweep:
        print(f"  visionkit compare {HydraConfig.get().sweep.dir}    # all runs of this sweep so far")
    return best


def _is_first_process() -> bool:
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(int(os.environ.get(rank, "0")) == 0 for rank in ranks)


def _open(cfg: DictConfig) -> Run:
    hydra_cfg = HydraConfig.get()
    run = open_run(cfg, _name(cfg, hydra_cfg.runtime.choices))
    os.environ[_RUN_OF_RANK_ZERO] = str(run.folder)
    OmegaConf.update(cfg, "run", str(run.folder))
    sweep = hydra_cfg.sweep.dir if hydra_cfg.mode == RunMode.MULTIRUN else None
    if run.resumed and sweep is not None:
        join_sweep(run.folder, sweep)
    elif not run.resumed:
        save_config(cfg, run.folder)
        save_command(run.folder, list(hydra_cfg.overrides.task), hydra_cfg.runtime.choices, sweep)
    return run


def _join(cfg: DictConfig) -> Run:
    folder = os.environ.get(_RUN_OF_RANK_ZERO) or cfg.run
    if folder is None:
        raise ConfigError("C16", "run", "started by another launcher, no run folder given", "add run=DIR")
    OmegaConf.update(cfg, "run", str(folder))
    return Run(Path(folder), (Path(folder) / "checkpoints").is_dir())


def _name(cfg: DictConfig, choices: Any) -> str:
    """``unet_camvid-resnet18``: experiment (or task and dataset), encoder, and the tasks where ``only`` chose some."""
    whole = choices.get("experiment") or "-".join(str(choices[group]).split("/")[-1] for group in ("task", "dataset"))
    listed: Any = OmegaConf.load(conf_dir() / "encoder" / f"{choices['encoder']}.yaml")
    model = cfg.encoder.get("model")
    encoder = choices["encoder"] if model == listed.get("model") else model
    parts = [whole.split("/")[-1], encoder, *(cfg.tasks if cfg.only is not None else [])]
    return "-".join(parts).replace("/", "_")


if __name__ == "__main__":
    guard(train)
