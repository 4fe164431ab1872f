"""Balancing the losses of several tasks: from named terms to the one number that is minimised."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.errors import ConfigError

Terms = Mapping[str, Mapping[str, Float[Tensor, ""]]]
"""For each task of a step its loss terms by name."""


class Fixed(nn.Module):
    """Weighted sum of the tasks' losses with constant weights.

    Args:
        weights: by task; a task that is not named has weight 1.

    Raises ConfigError where a weight is negative or not finite.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.weights = {name: float(weight) for name, weight in (weights or {}).items()}
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError("C45", f"balance.weights.{name}", f"{weight} is no weight", "give a number from 0 up")

    def forward(self, terms: Terms) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """Total to minimise, and each task's own sum before weighting. A task that is absent costs nothing."""
        sums = {task: torch.stack(list(named.values())).sum() for task, named in terms.items() if named}
        if not sums:
            return torch.zeros(()), sums
        total = torch.stack([self.weights.get(task, 1.0) * value for task, value in sums.items()]).sum()
        return total, sums
