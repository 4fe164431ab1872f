"""Exponential moving average of the weights: the model that is judged and taken away is the averaged one."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

_LIVE = "live_state_dict"


class WeightAverage(Callback):
    """Validates, exports and evaluates ``average <- d * average + (1 - d) * weights``, updated at each step.

    The decay ``d`` of the n-th update is ``min(decay, (1 + n) / (10 + n))``, so that the average forgets the
    first random weights (Tan & Le 2019, and TensorFlow's ``ExponentialMovingAverage`` with ``num_updates``).
    Floating-point parameters and buffers (the statistics of batch normalisation) are averaged; integer buffers
    are copied. A checkpoint's ``state_dict`` holds the averaged weights, so that whoever loads it gets those;
    the weights that training goes on from lie beside it, and a resumed training is bit-identical. When training
    ends, the model holds the averaged weights.

    Lightning's own ``EMAWeightAveraging`` averages integer buffers, too, and rounds them to wrong values; and it
    keeps its copy on the CPU, because it is made before the model is moved.

    Args:
        decay: share of the old average that stays at each step, 0..1.
    """

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = decay
        self._updates = 0
        self._average: list[Tensor] = []
        self._restored: dict[str, Tensor] = {}
        self._swapped = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins with a copy of the weights, or with the average of the checkpoint."""
        self._average = [tensor.detach().clone() for _, tensor in _averaged(pl_module)]
        for (name, _), average in zip(_averaged(pl_module), self._average, strict=True):
            if name in self._restored:
                average.copy_(self._restored[name])
        self._restored = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Updates the average after each optimizer step."""
        if trainer.global_step > self._updates:
            decay = min(self.decay, (1 + self._updates) / (10 + self._updates))
            weights = [tensor.detach() for _, tensor in _averaged(pl_module)]
            torch._foreach_lerp_(self._average, weights, 1 - decay)
            self._updates = trainer.global_step

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the averaged weights into the model."""
        self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the trained weights back."""
        self._swap(pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leaves the averaged weights in the model; after the last checkpoint, which still needs both."""
        if not self._swapped:
            self._swap(pl_module)
        self._average, self._swapped = [], False

    def state_dict(self) -> dict[str, int]:
        """How many updates there were."""
        return {"updates": self._updates}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes on counting."""
        self._updates = state_dict["updates"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Stores the averaged weights as the model's, and the trained ones beside them."""
        if not self._average:
            return
        names = [name for name, _ in _averaged(pl_module)]
        other = dict(zip(names, self._average, strict=True))
        state = checkpoint["state_dict"]
        averaged, live = (state, other) if self._swapped else (state | other, {name: state[name] for name in names})
        checkpoint["state_dict"], checkpoint[_LIVE] = averaged, live

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Takes training's own weights and the average out of a checkpoint; only where training goes on."""
        if trainer.state.fn != "fit" or _LIVE not in checkpoint:
            return
        self._restored = {name: checkpoint["state_dict"][name].clone() for name in checkpoint[_LIVE]}
        pl_module.load_state_dict(checkpoint["state_dict"] | checkpoint[_LIVE])

    @torch.no_grad()
    def _swap(self, pl_module: LightningModule) -> None:
        if not self._average:
            return
        for (_, tensor), average in zip(_averaged(pl_module), self._average, strict=True):
            kept = tensor.detach().clone()
            tensor.copy_(average)
            average.copy_(kept)
        self._swapped = not self._swapped


def _averaged(module: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What is averaged, under its name in the state: a shared tensor once, a buffer that is not saved never."""
    saved = module.state_dict(keep_vars=True)
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        if name in saved and tensor.is_floating_point():
            yield name, tensor
