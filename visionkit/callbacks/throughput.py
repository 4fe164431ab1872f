"""How fast training goes, and whether it waits for data."""

import time
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from visionkit.memory import peak_b


class Throughput(Callback):
    """Logs speed at every ``log_every_n_steps``: two clock readings a step, no synchronisation of the device.

    - ``train/step_time_s``: median time from one step's end to the next, waiting for data included;
    - ``train/images_per_second``: images of the window over its time, all processes together;
    - ``train/data_wait_share``: part of the time (0..1) in which the process waited for its next batch;
    - ``train/peak_memory_gib``: of the GPU where there is one, else of the process.

    Validation, checkpoints and the first step of an epoch, which starts the workers, are left out.

    Args:
        window: number of the latest steps that count.
    """

    def __init__(self, window: int = 50) -> None:
        self._steps: deque[tuple[float, float, int]] = deque(maxlen=window)
        self._ended: float | None = None
        self._wait_s = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The time before the first step is no step's."""
        self._ended = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The time of a validation is no step's."""
        self._ended = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """The time of a checkpoint is no step's."""
        self._ended = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The batch is here: the wait is over."""
        self._wait_s = 0.0 if self._ended is None else time.perf_counter() - self._ended

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes the step; logs where Lightning does."""
        now = time.perf_counter()
        if self._ended is not None:
            self._steps.append((now - self._ended, self._wait_s, count_images(batch)))
        self._ended = now
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # 0: the user wants no logging
        if self._steps and every and trainer.global_step % every == 0:
            figures = {f"train/{name}": value for name, value in self.figures(trainer.world_size).items()}
            figures["train/peak_memory_gib"] = peak_b(pl_module.device) / 2**30
            pl_module.log_dict(figures, on_step=True, on_epoch=False, batch_size=1)

    def figures(self, processes: int = 1) -> dict[str, float]:
        """Speed over the window."""
        steps, waits, images = zip(*self._steps, strict=True)
        total_s = max(sum(steps), 1e-9)
        return {
            "images_per_second": sum(images) * processes / total_s,
            "step_time_s": median(steps),
            "data_wait_share": sum(waits) / total_s,
        }


def count_images(batch: Any) -> int:
    """Images in a Batch, or in all batches of ``dict[source, Batch]``."""
    if not isinstance(batch, Mapping):
        return 0
    if "image" in batch:
        return len(batch["image"])
    return sum(count_images(part) for part in batch.values())
