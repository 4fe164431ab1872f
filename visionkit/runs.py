"""Run folders: where a run lives, what it was made with, and whether a command continues one."""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from visionkit.errors import ConfigError
from visionkit.files import replaced_file
from visionkit.run_config import absolute_paths, load_config, plain

COMMAND_FILE, COSTS_FILE = "command.json", "costs.json"
_FREE = ("run", "resume", "logger", "callbacks", "trainer", "checkpoint", "workers", "test", "export", "onnx")
"""Parts of the configuration that may differ when a run is continued."""
_DECISIVE = ["max_epochs", "max_steps", "accumulate_grad_batches", "devices", "num_nodes", "precision"]
_DECISIVE += ["gradient_clip_val", "gradient_clip_algorithm", "limit_train_batches", "overfit_batches"]
"""Options of the trainer that change the weights."""


class Run(NamedTuple):
    """A run folder, and whether it already holds checkpoints to go on from."""

    folder: Path
    resumed: bool


def open_run(cfg: DictConfig, name: str) -> Run:
    """Chooses the folder of a run by ``run``, ``resume`` and the run's name, and makes it.

    Raises:
        ConfigError: the folder holds another run, or one that the command does not ask to continue.
    """
    if cfg.resume not in (False, None, "auto"):
        raise ConfigError("C06", f"resume={cfg.resume}", "not known", "use resume=auto; run=DIR says which run")
    automatic = cfg.resume == "auto"
    if cfg.run is not None:
        folder = Path(cfg.run)
        if not _started(folder):
            return _make(folder)
        if not automatic:
            fix = (
                f"add resume=auto to continue it, or choose another run= (look at it: python evaluate.py run={folder})"
            )
            raise ConfigError("C07", f"run={folder}", "already holds a run", fix)
        changed = _changes(cfg, folder)
        if changed:
            fix = "repeat the first command with resume=auto, or choose another run="
            raise ConfigError("C14", folder, f"was made with {changed[0]} ({len(changed)} such)", fix)
        return Run(folder, True)
    others = []
    for folder in _siblings(name) if automatic else []:
        try:
            changed = _changes(cfg, folder)
        except ConfigError as error:
            changed = [str(error)]
        if not changed:
            return Run(folder, True)
        others.append(f"{folder} was made with {changed[0]}")
    if others:
        print(f"visionkit: no run of this command to continue, so a new one starts ({others[0]})", file=sys.stderr)
    return _make_next(name)


def save_command(folder: Path, overrides: list[str], choices: Mapping[str, Any], sweep: str | None) -> None:
    """Writes what was typed, the choice of each group of the configuration, and the folder of the sweep, if any."""
    own = {str(group): option for group, option in choices.items() if not str(group).startswith("hydra/")}
    _write_command(folder, {"overrides": overrides, "choices": own, "sweeps": [] if sweep is None else [sweep]})


def join_sweep(folder: Path, sweep: str) -> None:
    """Notes that a further sweep continues this run."""
    file = folder / COMMAND_FILE
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    _write_command(folder, content | {"sweeps": [*content.get("sweeps", []), sweep]})


def _write_command(folder: Path, content: dict[str, Any]) -> None:
    with replaced_file(folder / COMMAND_FILE) as new:
        new.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def evaluation_place(run: Path, checkpoint: str, changes: Iterable[str]) -> Path:
    """Where an evaluation is kept: in the run's folder, or in one of its own where it is of other weights or settings.

    So the figures of a run stay those of its best weights on its own data. What is as free as in continuing a run, such
    as ``workers=0``, is no other setting.
    """
    words = [] if checkpoint == "best" else [f"checkpoint={checkpoint}"]
    words += [change for change in changes if re.split(r"[.=]", change.lstrip("+"), maxsplit=1)[0] not in _FREE]
    if not words:
        return run
    whole = " ".join(words)
    name = re.sub(r"[^\w.=,-]+", "_", whole)[:80]
    return run / "evaluations" / (name if name == whole else f"{name}-{sha256(whole.encode()).hexdigest()[:6]}")


def discard(run: Run) -> None:
    """Removes the folder of a run that failed before it began, so that the next try has its name."""
    beginnings = {"config.yaml", "labels.json", "wandb_id.txt", "batch_sizes.json", COMMAND_FILE}
    if not run.resumed and run.folder.is_dir() and {path.name for path in run.folder.iterdir()} <= beginnings:
        shutil.rmtree(run.folder)


def _started(folder: Path) -> bool:
    return (folder / "config.yaml").is_file()


def _siblings(name: str) -> list[Path]:
    names = re.compile(re.escape(name) + r"(-\d+)?")
    found = [path for path in Path("runs").glob(f"{name}*") if names.fullmatch(path.name) and _started(path)]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _make(folder: Path) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    return Run(folder, False)


def _make_next(name: str) -> Run:
    number = 1
    while True:
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return Run(folder, False)


def _essential(plain: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in plain.items() if key not in _FREE}
    kept["trainer"] = {key: plain["trainer"].get(key) for key in _DECISIVE}
    kept["callbacks"] = {"ema": (plain.get("callbacks") or {}).get("ema")}
    absolute_paths(kept["dataset"])
    return kept


def _changes(cfg: DictConfig, folder: Path) -> list[str]:
    """What a run was made with and the command now says otherwise, as ``key=then, now now``."""
    now, then = _flat(_essential(plain(cfg))), _flat(_essential(plain(load_config(folder))))
    changed = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
    return [f"{key}={then.get(key)}, now {now.get(key)}" for key in changed]


def _flat(node: Any, place: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {place: node}
    return {key: value for child in node for key, value in _flat(node[child], f"{place}.{child}".lstrip(".")).items()}
