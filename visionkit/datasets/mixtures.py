"""Which sources the steps of a training take their batches from: functions of the seed and of the step."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from visionkit.errors import ConfigError
from visionkit.multitask.gradients import averaged
from visionkit.seeding import generator


class Mixture(Protocol):
    """Chooses the sources of every step."""

    def epoch_steps(self, batches: Mapping[str, int]) -> int:
        """Steps of an epoch, from the batches that one pass over each source has."""

    def chosen(self, batches: Mapping[str, int], seed: int, step: int) -> Sequence[str]:
        """Names of the sources of a step, counted from the beginning of the training."""

    def observe(self, losses: Mapping[str, Tensor]) -> None:
        """Told the loss of each source in a step."""

    def end_epoch(self) -> None:
        """Told that an epoch has ended."""

    def state_dict(self) -> dict[str, Any]:
        """What must be remembered to continue a run; empty where the step says everything."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of ``state_dict``."""


class Stateless:
    """A mixture that does not learn from losses."""

    def observe(self, losses: Mapping[str, Tensor]) -> None:
        """Nothing is learnt."""

    def end_epoch(self) -> None:
        """Nothing is learnt."""

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing was remembered."""


class Each(Stateless):
    """A batch of every source in every step; the source with most batches sets the epoch."""

    def epoch_steps(self, batches: Mapping[str, int]) -> int:
        """As many as the longest source has batches."""
        return max(batches.values(), default=0)

    def chosen(self, batches: Mapping[str, int], seed: int, step: int) -> Sequence[str]:
        """All."""
        return list(batches)


class RoundRobin(Stateless):
    """One source a step, in turn, so that each has as many steps as any other; an epoch has all their batches."""

    def epoch_steps(self, batches: Mapping[str, int]) -> int:
        """The sum over the sources."""
        return sum(batches.values())

    def chosen(self, batches: Mapping[str, int], seed: int, step: int) -> Sequence[str]:
        """The one whose turn it is."""
        return [list(batches)[step % len(batches)]]


class Temperature(Stateless):
    """One source a step, drawn with a probability that grows with its size as ``size ** (1 / temperature)``.

    Args:
        temperature: 1 is in proportion to the number of batches, infinity is even (Arivazhagan et al. 2019, sect. 3.4).

    Raises ConfigError C227 for a temperature that is not above 0.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise ConfigError("C227", "mixture.temperature", f"{temperature} is not above 0", "1 is in proportion")
        self.temperature = temperature

    def epoch_steps(self, batches: Mapping[str, int]) -> int:
        """The sum over the sources."""
        return sum(batches.values())

    def chosen(self, batches: Mapping[str, int], seed: int, step: int) -> Sequence[str]:
        """The one that is drawn."""
        shares = np.array(list(batches.values()), float) ** (1 / self.temperature)
        return [_drawn(list(batches), shares, seed, step)]


class ByLoss:
    """One source a step, drawn in proportion to ``(loss / first loss) ** power``: more of what is learnt slowly.

    The losses are the means of the last epoch, so that within an epoch a step says everything. In the first two epochs
    all sources are equally likely.

    Args:
        power: 0 is even.
    """

    def __init__(self, power: float = 1.0) -> None:
        self.power = power
        self.history: list[dict[str, float]] = []
        """The mean losses of every epoch that has ended, by source; one that had no step is missing."""
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def epoch_steps(self, batches: Mapping[str, int]) -> int:
        """The sum over the sources."""
        return sum(batches.values())

    def chosen(self, batches: Mapping[str, int], seed: int, step: int) -> Sequence[str]:
        """The one that is drawn."""
        epoch = step // self.epoch_steps(batches)
        return [_drawn(list(batches), np.array([self._share(name, epoch) for name in batches]), seed, step)]

    def observe(self, losses: Mapping[str, Tensor]) -> None:
        """Adds to the means of this epoch."""
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(loss)) + loss
            self._counts[name] = self._counts.get(name, 0) + 1

    def end_epoch(self) -> None:
        """Remembers the means, over all processes."""
        means = {name: averaged(self._sums[name]) / self._counts[name] for name in sorted(self._sums)}
        self.history.append({name: float(mean) for name, mean in means.items()})
        self._sums, self._counts = {}, {}

    def state_dict(self) -> dict[str, Any]:
        """The losses of every epoch, for the draws of all steps so far follow from them, and those of this one."""
        sums = {name: value.cpu() for name, value in self._sums.items()}
        return {"history": [dict(means) for means in self.history], "sums": sums, "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes the losses back."""
        self.history = [dict(means) for means in state["history"]]
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])

    def _share(self, name: str, epoch: int) -> float:
        losses = [means[name] for means in self.history[:epoch] if np.isfinite(means.get(name, np.nan))]
        if len(losses) < 2 or losses[0] <= 0:
            return 1.0
        return float(np.clip(losses[-1] / losses[0], 1e-2, 1e2) ** self.power)


def _drawn(names: list[str], shares: np.ndarray, seed: int, step: int) -> str:
    return names[int(generator(seed, "mixture", step).choice(len(names), p=shares / shares.sum()))]
