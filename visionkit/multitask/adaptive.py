"""Weights of losses that change while a network learns: by uncertainty, by the pace of learning, by gradient norms."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.errors import ConfigError
from visionkit.multitask.balance import Balance, Sums
from visionkit.multitask.gradients import averaged, task_gradients


class Uncertainty(Balance):
    """Learns a variance of each task's loss (Kendall et al. 2018): ``sum exp(-s) L / 2 + s / 2``, s = log variance.

    Where the losses stand still, each variance becomes its loss. Each is a parameter of its own: one without a gradient
    stands still, while in a common vector an optimizer's momentum would move it.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_variance = nn.ParameterList(torch.zeros(()) for _ in self.names)

    def total(self, sums: Sums, shared: Sequence[nn.Parameter]) -> Float[Tensor, ""]:
        """Only the tasks of this step, so that those which are absent keep their variance."""
        pairs = [(value, self.log_variance[self.names.index(task)]) for task, value in sums.items()]
        return torch.stack([(torch.exp(-s) * value + s) / 2 for value, s in pairs]).sum()

    def weights_now(self) -> dict[str, float]:
        """``exp(-s) / 2``."""
        log_variance = torch.stack([value.detach() for value in self.log_variance])
        return dict(zip(self.names, (torch.exp(-log_variance) / 2).tolist(), strict=True))


class DynamicAverage(Balance):
    """Dynamic weight average (Liu et al. 2019): a task whose loss fell less in the last epoch gets more weight.

    ``w = K softmax(r / temperature)``, r the ratio of the mean losses of the last two epochs; 1 in the first two.

    Args:
        tasks: names of the tasks.
        temperature: larger is more even; 2 in the paper.

    Raises ConfigError C225 for a temperature that is not above 0.
    """

    weights: Tensor
    sums: Tensor
    counts: Tensor
    last: Tensor

    def __init__(self, tasks: Sequence[str], temperature: float = 2.0) -> None:
        super().__init__(tasks)
        if not temperature > 0:
            raise ConfigError("C225", "balance.temperature", f"{temperature} is not above 0", "2 is usual")
        self.temperature = temperature
        for name, fill in (("weights", 1.0), ("sums", 0.0), ("counts", 0.0), ("last", float("nan"))):
            self.register_buffer(name, torch.full((len(self.names),), fill))

    def total(self, sums: Sums, shared: Sequence[nn.Parameter]) -> Float[Tensor, ""]:
        """Each loss times its weight; its value is remembered for the mean of the epoch."""
        # Averaged in every step, because DDP gives the buffers of the first process to all before the next one.
        means = averaged(torch.stack([value.detach() for value in sums.values()]))
        for task, mean in zip(sums, means, strict=True):
            place = self.names.index(task)
            self.sums[place] += mean
            self.counts[place] += 1
        return torch.stack([self.weights[self.names.index(task)] * value for task, value in sums.items()]).sum()

    def end_epoch(self) -> None:
        """New weights from the means of this epoch and the one before it."""
        means = self.sums / self.counts  # not a number for a task that was never seen
        ratio = means / self.last
        ratio = torch.where(ratio.isfinite(), ratio, torch.ones_like(ratio))
        self.weights.copy_(len(self.names) * torch.softmax(ratio / self.temperature, 0))
        self.last.copy_(means)
        self.sums.zero_()
        self.counts.zero_()

    def weights_now(self) -> dict[str, float]:
        """Those of this epoch."""
        return dict(zip(self.names, self.weights.tolist(), strict=True))


class GradNorm(Balance):
    """Weights under which the tasks' gradients are of one size (Chen et al. 2018, eq. 2), slower tasks a little larger.

    The norms are those at the encoder's last layer. The weights follow the gradient of the paper's own loss and are
    brought back to the sum K after each step.

    Args:
        tasks: names of the tasks.
        alpha: how strongly tasks that learn slowly are preferred; 1.5 in the paper.
        lr: rate of the weights; 0.025 in the paper.
    """

    compares: ClassVar[bool] = True
    weights: Tensor
    first: Tensor

    def __init__(self, tasks: Sequence[str], alpha: float = 1.5, lr: float = 0.025) -> None:
        super().__init__(tasks)
        self.alpha, self.lr = alpha, lr
        self.register_buffer("weights", torch.ones(len(self.names)))
        self.register_buffer("first", torch.full((len(self.names),), float("nan")))

    def total(self, sums: Sums, shared: Sequence[nn.Parameter]) -> Float[Tensor, ""]:
        """Each loss times its weight, the weights moved by one step first."""
        places = torch.tensor([self.names.index(task) for task in sums], device=self.weights.device)
        values = torch.stack(list(sums.values()))
        self._learn(places, values, sums, [p for p in shared if p.ndim > 1][-1:])
        return (self.weights[places].clone() * values).sum()

    @torch.no_grad()
    def _learn(self, places: Tensor, values: Tensor, sums: Sums, layer: Sequence[nn.Parameter]) -> None:
        now = averaged(values.detach().float())
        self.first[places] = torch.where(self.first[places].isnan(), now, self.first[places])
        if len(sums) < 2 or not layer:
            return
        with torch.enable_grad():
            gradients = task_gradients(sums, layer)
        norms = torch.stack([torch.stack([g.norm() for g in own]).norm() for own in gradients]).float()
        pace = now / self.first[places].clamp(min=1e-12)
        pace = pace / pace.mean().clamp(min=1e-12)
        own = self.weights[places]
        target = (own * norms).mean() * pace**self.alpha
        changed = (own - self.lr * torch.sign(own * norms - target) * norms / norms.mean().clamp(min=1e-12)).clamp(1e-3)
        self.weights[places] = changed * own.sum() / changed.sum()

    def weights_now(self) -> dict[str, float]:
        """Those of this step."""
        return dict(zip(self.names, self.weights.tolist(), strict=True))
