"""Early stopping that knows what to watch, and is off until it is given a patience."""

from typing import Any, cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping

from visionkit.module import VisionModule


class EarlyStopping(LightningEarlyStopping):
    """Ends a training whose validation has not become better for ``patience`` validations.

    Args:
        patience: validations without progress; None turns it off. ``callbacks.early_stopping.patience=10``
        monitor: log key such as ``val/segmentation/miou``; None is the first task's own monitored metric.
        mode: "min" or "max"; None is the task's own.
        min_delta: a smaller change is no progress.
    """

    def __init__(
        self, patience: int | None = None, monitor: str | None = None, mode: str | None = None, min_delta: float = 0.0
    ) -> None:
        super().__init__(monitor or "", patience=patience or 0, check_finite=False)
        self._off, self._asked = patience is None, (monitor, mode, min_delta)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Takes over what the first task says of itself."""
        if self._off or stage != "fit":
            return
        monitor, mode, min_delta = self._asked
        own = cast(VisionModule, pl_module).monitor()
        self.monitor, self.mode = monitor or own.metric, mode or own.mode
        worst = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)
        self.best_score, self.min_delta = worst, -min_delta if self.mode == "min" else min_delta
        super().setup(trainer, pl_module, stage)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compares; does nothing where it is off."""
        if not self._off:
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compares; does nothing where it is off."""
        if not self._off:
            super().on_train_epoch_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Nothing where it is off."""
        return {} if self._off else super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing where it is off now or was off then."""
        if state_dict and not self._off:
            super().load_state_dict(state_dict)
