"""What every task checks of its options: that a loss is switched on, and that the monitored metric exists."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torchmetrics import MetricCollection

from visionkit.errors import ConfigError, nearest


def switched_on(losses: Mapping[str, nn.Module], code: str, usual: str) -> nn.ModuleDict:
    """The losses whose weight is not 0.

    Raises ConfigError of this code where there are none; ``usual`` is the one that is named where none is listed.
    """
    chosen = nn.ModuleDict({name: loss for name, loss in losses.items() if loss.weight != 0})
    if not chosen:
        fix = f"give one of them a weight, such as losses.{next(iter(losses), usual)}.weight=1"
        raise ConfigError(code, "task.losses", "every loss has weight 0", fix)
    return chosen


def check_monitor(monitored: str, metrics: MetricCollection, code: str, classes: Sequence[str] = ()) -> None:
    """Raises ConfigError of this code where no metric gives a figure of this name, or one of the name/class."""
    parts: list[Any] = list(metrics.values())
    choices = [name for metric in parts for name in metric.figures]
    choices += [f"{name}/{label}" for label in classes for metric in parts for name in metric.class_figures]
    if monitored not in choices:
        raise ConfigError(code, "task.monitor.metric", f"there is no {monitored!r}", nearest(monitored, choices))
