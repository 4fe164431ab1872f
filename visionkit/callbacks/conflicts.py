"""How the gradients of the tasks agree at the encoder: logged, and drawn as a matrix."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from visionkit.drawing import matrix
from visionkit.loggers.pictures import log_picture
from visionkit.multitask.gradients import cosines, gramian, task_gradients


class GradientConflicts(Callback):
    """Measures the cosines between the tasks' gradients at the encoder, now and then; below 0 two tasks disagree.

    Logged as ``train/conflict/<task>~<task>``; after every epoch its mean is drawn to
    ``<run>/pictures/conflicts.png`` and shown as ``train/conflicts``. A run of a single task does nothing.

    Args:
        every_n_steps: steps from one measurement to the next, each of which costs a backward pass for every task;
            0 never measures.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        self.every_n_steps = every_n_steps
        self._sums: dict[tuple[str, str], float] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Measures before the graph is gone."""
        losses, shared = pl_module.step_losses, pl_module.shared
        due = self.every_n_steps > 0 and trainer.global_step % self.every_n_steps == 0
        if not due or len(losses) < 2 or not shared:  # type: ignore[arg-type]
            return
        with pl_module.balance.ungated():  # type: ignore[operator,union-attr]
            found = cosines(gramian(task_gradients(losses, shared)))  # type: ignore[arg-type]
        names = list(losses)  # type: ignore[arg-type]
        for row, first in enumerate(names):
            for column in range(row + 1, len(names)):
                pair, cosine = (first, names[column]), float(found[row, column])
                self._sums[pair] = self._sums.get(pair, 0.0) + cosine
                self._counts[pair] = self._counts.get(pair, 0) + 1
                pl_module.log(f"train/conflict/{pair[0]}~{pair[1]}", cosine, batch_size=1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the means of the epoch."""
        if self._counts and trainer.is_global_zero:
            names = [name for name in pl_module.tasks if any(name in pair for pair in self._counts)]  # type: ignore[union-attr]
            picture = draw(names, {pair: self._sums[pair] / count for pair, count in self._counts.items()})
            path = Path(trainer.default_root_dir) / "pictures" / "conflicts.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
            log_picture(trainer.loggers, "train/conflicts", picture, trainer.global_step)
        self._sums, self._counts = {}, {}


def draw(names: list[str], means: dict[tuple[str, str], float]) -> UInt8[np.ndarray, "h w 3"]:
    """The matrix of cosines: blue where two tasks agree, orange where they disagree."""
    values: Float[Tensor, "k k"] = torch.full((len(names), len(names)), float("nan"))
    for (first, second), cosine in means.items():
        if first in names and second in names:
            row, column = names.index(first), names.index(second)
            values[row, column] = values[column, row] = cosine
    values.fill_diagonal_(1.0)
    return matrix(values.numpy(), names, "cosines of the tasks' gradients at the encoder")
