"""Stops a training whose loss or gradient is no longer a number, and says where it happened."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from visionkit.errors import NonFiniteError

_FIX = "lower optimizer.lr, set trainer.precision=32, or look at these samples"
_MOST_KEYS = 12


class _Step(NamedTuple):
    number: int
    keys: list[str]
    loss: Tensor
    terms: Mapping[str, Mapping[str, Tensor]]


class NonFiniteGuard(Callback):
    """Raises NonFiniteError N01 (loss) or N02 (gradient), naming the step, the terms and the samples.

    A GPU works behind the program's back, and looking at a loss makes the program wait for it; there the losses
    of several steps are kept and looked at together, and always before a checkpoint is written. The step that is
    named is the first bad one in either case. Gradients are looked at in the same steps, before the weights are
    changed; not under float16, whose loss scaling makes and skips infinite gradients on purpose. Needs a
    ``training_step`` that returns ``{"loss": ..., "terms": {task: {term: ...}}}``, the terms detached.

    Args:
        every_n_steps: how often to look; None is every step on a CPU, every 20th on other devices.
        gradients: whether to look at gradients, too.
    """

    def __init__(self, every_n_steps: int | None = None, gradients: bool = True) -> None:
        self.every_n_steps, self.gradients = every_n_steps, gradients
        self._pending: list[_Step] = []
        self._step, self._keys = 0, list[str]()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Remembers whose step it is."""
        self._step, self._keys = trainer.global_step, batch_keys(batch)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Looks at the norm of all gradients. Raises NonFiniteError N02."""
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        if not self.gradients or scaled or not self._due(pl_module):
            return
        named = [(name, p.grad) for name, p in pl_module.named_parameters() if p.grad is not None]
        if named and not torch.nn.utils.get_total_norm([grad for _, grad in named]).isfinite():
            bad = [name for name, grad in named if not grad.isfinite().all()]
            what = f"the gradient is not finite in {_listed(bad, 4)}" if bad else "the gradient's norm overflows"
            raise NonFiniteError("N02", f"step {self._step}", f"{what}{_samples(self._keys)}", _FIX)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the loss, or keeps it to be looked at. Raises NonFiniteError N01."""
        if not isinstance(outputs, Mapping) or not isinstance(outputs.get("loss"), Tensor):
            return
        self._pending.append(_Step(self._step, self._keys, outputs["loss"].detach(), outputs.get("terms", {})))
        if self._due(pl_module):
            self._look()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Never lets a checkpoint be written after a bad step."""
        self._look()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at what is left."""
        self._look()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does not spend a validation on broken weights."""
        self._look()

    def _due(self, pl_module: LightningModule) -> bool:
        every = self.every_n_steps or (1 if pl_module.device.type == "cpu" else 20)
        return (self._step + 1) % every == 0

    def _look(self) -> None:
        pending, self._pending = self._pending, []
        if not pending or bool(torch.stack([step.loss.float() for step in pending]).isfinite().all()):
            return
        step = next(step for step in pending if not step.loss.isfinite())
        raise NonFiniteError("N01", f"step {step.number}", _describe(step), _FIX)


def batch_keys(batch: Any) -> list[str]:
    """Keys of a Batch's samples, ``source/key`` in a ``dict[source, Batch]``."""
    if not isinstance(batch, Mapping):
        return []
    if "key" in batch:
        return [str(key) for key in batch["key"]]
    return [f"{source}/{key}" for source, part in batch.items() for key in batch_keys(part)]


def _describe(step: _Step) -> str:
    terms = {f"{task}/{name}": float(term) for task, named in step.terms.items() for name, term in named.items()}
    bad = [f"{name}={value}" for name, value in terms.items() if not torch.tensor(value).isfinite()]
    named = f" ({', '.join(bad)})" if bad else ", though each of its terms is finite" if terms else ""
    return f"the loss is {float(step.loss)}{named}{_samples(step.keys)}"


def _samples(keys: list[str]) -> str:
    return f" on the samples {_listed(keys, _MOST_KEYS)}" if keys else ""


def _listed(names: list[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
