"""A trained network beside what can be had without one, on the same samples by the same metrics."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from visionkit.baselines.trivial import Baseline, carrying
from visionkit.types import Batch, Sample, Task

_TO_LEARN_FROM = 500
"""Samples of training that a baseline looks at."""


@dataclass(frozen=True)
class Gain:
    """The monitored metric of a task, of a baseline and of the network."""

    task: str
    metric: str
    mode: Literal["min", "max"]
    baseline: str
    """What it does, in words."""
    without: float
    figure: float

    @property
    def better(self) -> bool:
        """Whether the network is better."""
        return self.figure > self.without if self.mode == "max" else self.figure < self.without

    def text(self) -> str:
        """``+0.21``: by how much it is better, or worse (below 0)."""
        gain = (self.figure - self.without) * (1 if self.mode == "max" else -1)
        return "undefined" if math.isnan(gain) else f"{gain:+.3g}"


def figures(
    task: Task,
    baseline: Baseline,
    train: Iterable[Sample],
    test: Iterable[Sample],
    collate: Callable[[list[Sample]], Batch],
) -> dict[str, Tensor]:
    """Metrics of a baseline; those of the task are empty before and after."""
    baseline.fit(carrying(task.target, train, _TO_LEARN_FROM))
    task.metrics.reset()
    for sample in carrying(task.target, test):
        task.update(baseline.predict(sample), collate([sample]))
    found = {name: value.detach().cpu() for name, value in task.metrics.compute().items()}
    task.metrics.reset()
    return found


def gains(
    tasks: Mapping[str, Task],
    baselines: Mapping[str, Baseline],
    results: Mapping[str, Mapping[str, Tensor]],
    samples: Callable[[str], Iterable[Sample]],
    split: str,
    collate: Callable[[list[Sample]], Batch],
) -> list[Gain]:
    """Each task that has a baseline and results, on a split.

    Args:
        tasks: by name.
        baselines: by the name of their task.
        results: of the network, by task and metric.
        samples: those of a split as they are evaluated, also the training split without augmentation.
        split: what the network was evaluated on.
        collate: makes a batch of samples.
    """
    found = []
    for name, baseline in baselines.items():
        if name in tasks and name in results:
            task = tasks[name]
            own = figures(task, baseline, samples("train"), samples(split), collate)
            metric, words = task.monitor.metric, (type(baseline).__doc__ or "").strip().splitlines()[0]
            pair = (float(own[metric]), float(results[name][metric]))
            found.append(Gain(name, metric, task.monitor.mode, words.rstrip("."), *pair))
    return found
