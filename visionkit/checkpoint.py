"""Checkpoints: written whole or not at all, verified when read, and how a run is resumed from them."""

import hashlib
import io
import os
import pickle
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO

from visionkit.errors import ConfigError, StorageError, UnsafeFileError
from visionkit.files import replaced_file

_MAGIC = b"VKSHA256"
_TAIL = len(_MAGIC) + hashlib.sha256().digest_size


def write_atomically(path: Path, data: bytes) -> None:
    """Puts a file in its place in one step: after a crash there is the old one or the new one, whole."""
    try:
        with replaced_file(path) as new:
            new.write_bytes(data)
    except OSError as error:
        raise StorageError("S04", path, f"not written ({error.strerror})", "free some space or choose run=") from error


def save_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Writes what torch.save would write (torch.load reads it), followed by a digest of it."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    data = buffer.getbuffer()
    write_atomically(path, b"".join([data, _MAGIC, hashlib.sha256(data).digest()]))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint, tensors on the CPU, without running any code that it may hold.

    Raises:
        StorageError: it is missing or does not verify.
        UnsafeFileError: it verifies but asks to run code.
    """
    try:
        data = memoryview(Path(path).read_bytes())
    except OSError as error:
        raise StorageError("S02", path, f"cannot be read ({error.strerror})", "check the path") from error
    body, tail = data[:-_TAIL], bytes(data[-_TAIL:])
    if tail != _MAGIC + hashlib.sha256(body).digest():
        raise StorageError("S03", path, "is damaged or not a visionkit checkpoint", "use another checkpoint")
    try:
        return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafeFileError("U01", path, "holds code, not only data; nothing was run", "do not use it") from error


def find(run: Path, which: str = "best") -> Path:
    """The newest checkpoint of a run that verifies (``last``), its ``best`` one, or a file by its name.

    Raises:
        ConfigError: the run holds no such checkpoint.
    """
    folder = Path(run) / "checkpoints"
    if which != "last":
        path = folder / (which if which.endswith(".ckpt") else f"{which}.ckpt")
        if path.is_file():
            return path
        there = ", ".join(sorted(file.stem for file in folder.glob("*.ckpt"))) or "none"
        raise ConfigError("C13", path, f"no such checkpoint (there: {there})", "name one, or checkpoint=last")
    for path in sorted(folder.glob("step_*.ckpt"), reverse=True):
        if verified(path):
            return path
    raise ConfigError("C13", folder, "holds no checkpoint that verifies", "train the run first")


def verified(path: Path) -> bool:
    """Whether a checkpoint reads back as it was written; says so on stderr when it does not."""
    try:
        load_checkpoint(path)
    except StorageError as error:
        print(f"visionkit: {error.place}: {error.what}; it is not used", file=sys.stderr)
        return False
    return True


class VerifiedCheckpointIO(TorchCheckpointIO):
    """Lets Lightning write and read its checkpoints the verified way."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes atomically, with a digest."""
        save_checkpoint(checkpoint, Path(path))

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        """Reads and verifies."""
        return load_checkpoint(Path(path))


class Checkpoints(Callback):
    """Saves ``step_*.ckpt`` (the newest few are kept) and ``best.ckpt`` by the monitored metric.

    Args:
        every_n_steps: save after so many optimizer steps; None for no such rule.
        every_n_minutes: save when the last one is older; checked after every step.
        keep: how many step checkpoints stay.
    """

    def __init__(self, every_n_steps: int | None = None, every_n_minutes: float = 5.0, keep: int = 2) -> None:
        self.every_n_steps, self.every_n_minutes, self.keep = every_n_steps, every_n_minutes, max(1, keep)
        self.best: float | None = None
        self.best_step = -1
        self.judged_step = -1
        self._step, self._time_s = 0, time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """The best figure so far, and after which step it was reached."""
        return {"best": self.best, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the best figure back."""
        self.best, self.best_step = state_dict["best"], state_dict["best_step"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Counts from where training starts; a kill may have come just before best.ckpt was put in place."""
        self._step, self._time_s = trainer.global_step, time.monotonic()
        path = self._path(trainer)
        for newer in path.parent.glob("step_*.ckpt"):  # they did not verify, else training would start from them
            if newer.name > path.name and trainer.is_global_zero:
                newer.rename(newer.with_suffix(".damaged"))
        if trainer.is_global_zero and self._step == self.best_step and path.is_file():
            _replace_by_copy(path, path.with_name("best.ckpt"))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Saves within an epoch; its last step is saved after validation."""
        progress = trainer.fit_loop.epoch_loop.batch_progress
        if trainer.global_step == self._step or progress.is_last_batch or _dry(trainer):
            return
        by_count = self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0
        if self._agreed(trainer, by_count or self._overdue()):
            self._save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes which weights have a figure."""
        if not trainer.sanity_checking:
            self.judged_step = trainer.global_step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves when the monitored metric improved, when it is time, and at the end of training.

        Only figures of the weights as they are now count: those of a validation within the epoch are too old.
        """
        if _dry(trainer):
            return
        improved = self.judged_step == trainer.global_step and self._improved(trainer, pl_module)
        by_count = self.every_n_steps is not None and trainer.global_step // self.every_n_steps > (
            self._step // self.every_n_steps
        )
        if self._agreed(trainer, improved or by_count or self._overdue() or self._last(trainer)):
            path = self._save(trainer)
            if improved and trainer.is_global_zero:
                _replace_by_copy(path, path.with_name("best.ckpt"))

    def judge_last(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After a validation of the last checkpoint: training by steps can end between two validations."""
        path = self._path(trainer)
        if self._improved(trainer, pl_module) and trainer.is_global_zero and path.is_file():
            _replace_by_copy(path, path.with_name("best.ckpt"))
        trainer.strategy.barrier()  # the others read it next

    def _last(self, trainer: Trainer) -> bool:
        epochs, steps = trainer.max_epochs, trainer.max_steps
        done = epochs not in (None, -1) and trainer.current_epoch + 1 >= epochs  # type: ignore[operator]
        return done or (steps != -1 and trainer.global_step >= steps) or trainer.should_stop

    def _overdue(self) -> bool:
        return time.monotonic() - self._time_s >= 60 * self.every_n_minutes

    def _agreed(self, trainer: Trainer, wanted: bool) -> bool:
        return trainer.strategy.broadcast(wanted) if trainer.world_size > 1 else wanted

    def _improved(self, trainer: Trainer, module: Any) -> bool:
        monitor = module.monitor()
        logged = trainer.callback_metrics.get(monitor.metric)
        if logged is None or not torch.isfinite(logged):
            return False
        figure = float(logged)
        better = self.best is None or (figure > self.best if monitor.mode == "max" else figure < self.best)
        if better:
            self.best, self.best_step = figure, trainer.global_step
        return better

    def _path(self, trainer: Trainer) -> Path:
        return Path(trainer.default_root_dir) / "checkpoints" / f"step_{trainer.global_step:08d}.ckpt"

    def _save(self, trainer: Trainer) -> Path:
        path = self._path(trainer)
        trainer.save_checkpoint(path)
        self._step, self._time_s = trainer.global_step, time.monotonic()
        if trainer.is_global_zero:
            for old in sorted(path.parent.glob("step_*.ckpt"))[: -self.keep]:
                old.unlink(missing_ok=True)
        return path


def _replace_by_copy(source: Path, target: Path) -> None:
    with replaced_file(target) as new:
        try:
            os.link(source, new)
        except OSError:  # not every file system has links
            shutil.copyfile(source, new)


def _dry(trainer: Trainer) -> bool:
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
