"""Delta-m: what several tasks in one network gain or lose against networks of their own (Maninis et al. 2019)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from visionkit.errors import ConfigError
from visionkit.seeding import generator

Scores = Mapping[str, Mapping[str, float]]
"""By task and sample, larger is better."""


@dataclass(frozen=True)
class Gain:
    """In percent; ``low`` and ``high`` bound the interval that holds 95 % of the resampled test sets."""

    percent: float
    low: float
    high: float

    def text(self) -> str:
        """``+1.2 % (-0.3 to +2.9)``."""
        return f"{self.percent:+.1f} % ({self.low:+.1f} to {self.high:+.1f})"


def baseline(singles: Iterable[tuple[str, Scores]]) -> Scores:
    """The scores of each task, from the names and the scores of single runs.

    Raises:
        ConfigError: C238 two of them have the same task.
    """
    owners: dict[str, str] = {}
    found: dict[str, Mapping[str, float]] = {}
    for name, scores in singles:
        for task, own in scores.items():
            if task in owners:
                what = f"two runs have the task {task}: {owners[task]} and {name}"
                raise ConfigError("C238", "--singles", what, "name one run of each task")
            owners[task], found[task] = name, own
    return found


def delta_m(joint: Scores, singles: Scores, draws: int = 2000) -> Gain | None:
    """The mean over tasks of the relative change of the mean score of the samples that both have.

    A score is what a task ranks its samples by, so that every task counts alike and the interval comes from
    resampling the same samples of both (bootstrap). None where they have no task in common, or a mean score of the
    single network is 0.
    """
    pairs = [_paired(joint[task], singles[task]) for task in sorted(joint.keys() & singles.keys())]
    pairs = [pair for pair in pairs if pair.shape[1]]
    if not pairs or any(pair[1].mean() == 0 for pair in pairs):
        return None
    rng = generator("delta-m", draws)
    changes = np.zeros(draws)
    for pair in pairs:
        means = pair[:, rng.integers(0, pair.shape[1], (draws, pair.shape[1]))].mean(2)
        changes += (means[0] - means[1]) / np.maximum(np.abs(means[1]), 1e-12) / len(pairs)
    point = float(np.mean([_change(pair) for pair in pairs]))
    low, high = np.percentile(changes, (2.5, 97.5))
    return Gain(100 * point, 100 * float(low), 100 * float(high))


def remarks(joint: Scores, singles: Scores) -> Iterator[str]:
    """Which tasks a delta-m is of, and why it is not of others."""
    if not joint:
        yield "no delta-m, because its evaluation kept no scores.json"
        return
    both = sorted(joint.keys() & singles.keys())
    pairs = {task: pair for task in both if (pair := _paired(joint[task], singles[task])).shape[1]}
    zero = [task for task, pair in pairs.items() if pair[1].mean() == 0]
    yield f"delta-m of {', '.join(pairs)}" if pairs and not zero else "no delta-m"
    yield from (f"no single run of {task} with scores" for task in sorted(joint.keys() - singles.keys()))
    yield from (f"no samples of {task} that its single run has, too" for task in both if task not in pairs)
    yield from (f"the mean score of the single run of {task} is 0" for task in zero)


def _paired(joint: Mapping[str, float], single: Mapping[str, float]) -> np.ndarray:
    keys = sorted(joint.keys() & single.keys())
    return np.array([[own[key] for key in keys] for own in (joint, single)], float).reshape(2, len(keys))


def _change(pair: np.ndarray) -> float:
    joint, single = pair.mean(1)
    return float((joint - single) / abs(single))
