"""Progress of a training: a bar on a terminal, plain lines in a file, one an epoch and more in a long one."""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme

_THEME = RichProgressBarTheme(
    description="bold",
    progress_bar="cyan",
    progress_bar_finished="green",
    progress_bar_pulse="cyan",
    batch_progress="",
    time="dim",
    processing_speed="dim",
    metrics="",
    metrics_text_delimiter="  ",
    metrics_format=".4g",
)


def progress_bar(refresh_per_second: int = 4) -> ProgressBar:
    """A bar where a person watches, plain lines where the output goes to a file or a pipe."""
    return _TerminalProgress(refresh_per_second, theme=_THEME) if sys.stdout.isatty() else EpochLines()


class _TerminalProgress(RichProgressBar):
    """Lightning's bar without the version of the logger, which is no figure."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in metrics.items() if name != "v_num"}


class EpochLines(ProgressBar):
    """Prints ``epoch 3/20  step 1200  train/loss 0.412  val/task/metric 0.67  12 s/epoch  3 min 24 s left``.

    Within an epoch that takes longer: ``epoch 3/20  batch 400/1200  train/loss 0.433  1 min 2 s left in it``;
    in a long evaluation: ``test  batch 40/70``.

    Args:
        every_s: seconds between such lines.
    """

    def __init__(self, every_s: float = 30.0) -> None:
        super().__init__()
        self._enabled, self._every_s = True, every_s
        self._begin = self._epoch_begin = self._last_line = time.monotonic()
        self._first_epoch = self._batches = 0

    def disable(self) -> None:
        """Prints nothing from now on: Lightning calls it on every process but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Prints again."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._begin = self._epoch_begin = self._last_line = time.monotonic()
        self._first_epoch = trainer.current_epoch

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Prints a line if the last one is long ago."""
        self._batches += 1  # not batch_idx: a run can go on within an epoch
        done, total = batch_idx + 1, trainer.num_training_batches
        if not self._is_time() or done >= total:
            return
        left_s = (self._last_line - self._epoch_begin) / self._batches * (total - done)
        parts = [_epoch(trainer), f"batch {done}/{total}"]
        parts += [f"{name} {value:.4g}" for name, value in figures(trainer).items() if name == "train/loss"]
        self._print([*parts, f"{duration(left_s)} left in it"], trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the epoch's line."""
        now = time.monotonic()
        epoch_s = now - self._epoch_begin
        self._epoch_begin = self._last_line = now
        self._batches = 0
        done = trainer.current_epoch + 1 - self._first_epoch
        mean_s = (now - self._begin) / done
        last = _last_epoch(trainer)
        parts = [
            _epoch(trainer),
            f"step {trainer.global_step}",
            *[f"{name} {value:.4g}" for name, value in figures(trainer).items()],
            f"{duration(epoch_s)}/epoch",
        ]
        if last:
            parts.append(f"{duration(mean_s * (last - trainer.current_epoch - 1))} left")
        self._print(parts, trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Prints a line if the last one is long ago."""
        if self._is_time():
            stage, batches = ("test", trainer.num_test_batches) if trainer.testing else ("val", trainer.num_val_batches)
            self._print([stage, f"batch {batch_idx + 1}/{batches[dataloader_idx]}"], trainer)

    on_test_batch_end = on_validation_batch_end

    def _is_time(self) -> bool:
        if time.monotonic() - self._last_line < self._every_s:
            return False
        self._last_line = time.monotonic()
        return True

    def _print(self, parts: list[str], trainer: Trainer) -> None:
        if self._enabled and trainer.is_global_zero:
            print("  ".join(parts), flush=True)


def _last_epoch(trainer: Trainer) -> int | None:
    return trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None


def _epoch(trainer: Trainer) -> str:
    last = _last_epoch(trainer)
    return f"epoch {trainer.current_epoch + 1}" + (f"/{last}" if last else "")


def figures(trainer: Trainer) -> dict[str, float]:
    """The training loss and every figure of the validation that is one number of a task, not of a class."""
    known = {name: float(value) for name, value in trainer.callback_metrics.items()}
    loss = next((known[name] for name in ("train/loss_epoch", "train/loss") if name in known), None)
    figures = {} if loss is None else {"train/loss": loss}
    return figures | {name: v for name, v in known.items() if name.startswith("val/") and name.count("/") <= 2}


def duration(seconds: float) -> str:
    """A time as a person says it: ``0.4 s``, ``12 s``, ``3 min 24 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {name}"
    return f"{whole} s"
