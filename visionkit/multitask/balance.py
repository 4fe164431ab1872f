"""Balancing the losses of several tasks: from named terms to the one number that is minimised."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.errors import ConfigError, nearest
from visionkit.types import Features

Terms = Mapping[str, Mapping[str, Float[Tensor, ""]]]
"""For each task of a step its loss terms by name."""
Sums = dict[str, Float[Tensor, ""]]
"""For each task of a step its loss."""
_STEPS_ALONE = 100


class Balance(nn.Module):
    """What every way of balancing shares: it gives a total, may look at gradients, and may learn from epoch to epoch.

    Args:
        tasks: names of the tasks that there are; a step may carry only some of them.
    """

    compares: ClassVar[bool] = False
    """Whether it can do something only where a step has several tasks."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(tasks)
        self._steps_alone: int | None = 0
        """Steps of one task so far; None once there was one of several, or a warning."""

    def gate(self, task: str, features: Features) -> Features:
        """Features as a task is given them: the place at which its gradient can be weighted."""
        return features

    def forward(self, terms: Terms, shared: Sequence[nn.Parameter] = ()) -> tuple[Float[Tensor, ""], Sums]:
        """Total to minimise, and each task's own sum before weighting. A task that is absent costs nothing.

        Args:
            terms: of the tasks in this step.
            shared: parameters that all tasks use, for what looks at gradients.
        """
        sums = {task: torch.stack(list(named.values())).sum() for task, named in terms.items() if named}
        if self.compares:
            self._warn_alone(len(sums))
        return (self.total(sums, shared) if sums else torch.zeros(())), sums

    def total(self, sums: Sums, shared: Sequence[nn.Parameter]) -> Float[Tensor, ""]:
        """The number to minimise, from the losses of at least one task."""
        return torch.stack(list(sums.values())).sum()

    @contextmanager
    def ungated(self) -> Iterator[None]:
        """Within it no gate weights a gradient: those that are taken there are the tasks' own."""
        yield

    def end_epoch(self) -> None:
        """Told after the last step of every training epoch, before its checkpoint is written."""

    def weights_now(self) -> dict[str, float]:
        """Weight of each task's loss at this moment, to be logged; empty where the weights never change."""
        return {}

    def _warn_alone(self, tasks: int) -> None:
        """Says once that nothing is balanced, as with a mixture that gives one task a step."""
        if self._steps_alone is None or not tasks:
            return
        self._steps_alone = None if tasks > 1 else self._steps_alone + 1
        if self._steps_alone != _STEPS_ALONE:
            return
        self._steps_alone = None
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if not distributed or torch.distributed.get_rank() == 0:
            what = f"{type(self).__name__} compares the tasks of a step, but none of {_STEPS_ALONE} steps had two"
            fix = "take mixture=each, or balance=fixed, uncertainty or dwa"
            print(f"visionkit: warning: balance: {what}, so it changes nothing; {fix}", file=sys.stderr)


class Fixed(Balance):
    """Weighted sum of the tasks' losses with constant weights.

    Args:
        tasks: names of the tasks that there are.
        weights: by task; a task that is not named has weight 1.

    Raises ConfigError: C45 a weight that is negative or not finite, C18 a task that does not exist.
    """

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float] | None = None) -> None:
        super().__init__(tasks)
        self.weights = {name: float(weight) for name, weight in (weights or {}).items()}
        check_names(self.weights, self.names)
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError("C45", f"balance.weights.{name}", f"{weight} is no weight", "give a number from 0 up")

    def total(self, sums: Sums, shared: Sequence[nn.Parameter]) -> Float[Tensor, ""]:
        """Each loss times its weight."""
        return torch.stack([self.weights.get(task, 1.0) * value for task, value in sums.items()]).sum()


def check_names(given: Collection[str], tasks: Collection[str]) -> None:
    """Raises ConfigError C18 for a name that is no task."""
    for name in given:
        if name not in tasks:
            raise ConfigError("C18", f"balance.weights.{name}", "no such task", nearest(str(name), tasks))
