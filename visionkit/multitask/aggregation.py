"""Gradient methods: the encoder follows a combination of the tasks' gradients that harms none of them too much."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.errors import ConfigError
from visionkit.multitask.balance import Balance, Sums
from visionkit.multitask.gradients import Gate, gramian, task_gradients
from visionkit.types import Features

Weighting = Callable[[Float[Tensor, "k k"]], Float[Tensor, "k"]]
"""Weights of k gradients from their scalar products."""
_FIX = "pip install 'visionkit[balance]'"


class Aggregated(Balance):
    """Weights the gradients at the encoder's parameters, found anew for every step; each decoder keeps its own.

    The tasks' gradients at the encoder are computed first, one backward pass each; the step's own backward pass then
    carries them with their weights, so that clipping, accumulation, mixed precision and several processes work as ever.

    Args:
        tasks: names of the tasks.
        weighting: called with the number of tasks of a step, gives a Weighting.
    """

    compares: ClassVar[bool] = True

    def __init__(self, tasks: Sequence[str], weighting: Callable[[int], Weighting]) -> None:
        super().__init__(tasks)
        self.weighting = weighting
        self.gates = {name: Gate() for name in self.names}

    def gate(self, task: str, features: Features) -> Features:
        """The features through the task's gate."""
        return self.gates[task](features)

    def total(self, sums: Sums, shared: Sequence[nn.Parameter]) -> Float[Tensor, ""]:
        """The plain sum; how much of each gradient reaches the encoder is set at the gates."""
        for gate in self.gates.values():
            gate.weight = 1.0
        if len(sums) > 1 and shared:
            products = gramian(task_gradients(sums, shared))
            if bool(products.isfinite().all()) and float(products.abs().max()) > 0:
                weights = self.weighting(len(sums))(products)
                for task, weight in zip(sums, weights.tolist(), strict=True):
                    self.gates[task].weight = weight
        return super().total(sums, shared)

    @contextmanager
    def ungated(self) -> Iterator[None]:
        """Within it every gate lets gradients through as they are."""
        weights = self.weights_now()
        for gate in self.gates.values():
            gate.weight = 1.0
        try:
            yield
        finally:
            for name, weight in weights.items():
                self.gates[name].weight = weight

    def weights_now(self) -> dict[str, float]:
        """Those of the last step."""
        return {name: gate.weight for name, gate in self.gates.items()}


def pcgrad(count: int) -> Weighting:
    """PCGrad (Yu et al. 2020): of a gradient that conflicts with another, only what is orthogonal to it is kept."""
    return _made("PCGradWeighting")


def cagrad(count: int, c: float = 0.5) -> Weighting:
    """CAGrad (Liu et al. 2021): the best for the worst task within a ball about the mean gradient.

    Args:
        count: of tasks.
        c: radius of the ball, as a share of the mean gradient's length.
    """
    return _made("CAGradWeighting", c=c)


def aligned_mtl(count: int) -> Weighting:
    """Aligned-MTL (Senushkin et al. 2023): gradients made orthogonal and equally long."""
    return _made("AlignedMTLWeighting")


def nash_mtl(count: int, max_norm: float = 1.0) -> Weighting:
    """Nash-MTL (Navon et al. 2022): the bargaining solution, at which ``G a = 1 / a``.

    Args:
        count: of tasks.
        max_norm: of the combined gradient; 0 does not bound it.
    """
    return partial(_nash, count, max_norm)


def _nash(count: int, max_norm: float, products: Float[Tensor, "k k"]) -> Float[Tensor, "k"]:
    values, vectors = torch.linalg.eigh(products)
    root = vectors * values.clamp(min=0).sqrt()  # what it needs of the gradients are their scalar products
    options = {"n_tasks": count, "max_norm": max_norm, "update_weights_every": 1, "optim_niter": 20}
    return _made("NashMTL", **options).weighting(root)


def _made(name: str, **options: Any) -> Any:
    try:
        return getattr(import_module("torchjd.aggregation"), name)(**options)
    except ImportError as error:
        raise ConfigError("C226", "balance", f"needs packages that are not installed ({error.name})", _FIX) from error
