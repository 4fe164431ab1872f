"""The examples that say most about a model: those with the worst, the median and the best scores."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import UInt8
from lightning.pytorch import Callback, LightningModule, Trainer

from visionkit.datasets.collate import to_device
from visionkit.datasets.unbatch import prediction_of
from visionkit.network import Network, explained
from visionkit.types import Batch, Sample


class Examples(Protocol):
    """What the datamodule gives of one source."""

    def __len__(self) -> int: ...

    def key(self, index: int) -> str:
        """Stable id, known without reading the sample."""

    def __getitem__(self, index: int) -> Sample:
        """The transformed sample."""


@dataclass(frozen=True)
class Example:
    """One sample of an evaluation, with its picture once that is drawn."""

    kind: str
    """worst, median or best."""
    score: float
    source: str
    index: int
    key: str
    picture: UInt8[np.ndarray, "h w 3"] | None = None


@dataclass(frozen=True, order=True)
class _Scored:
    score: float
    source: int
    key: str


class ExampleCollector(Callback):
    """Notes the score of every sample of a test (or of a validation by itself) and remembers no picture.

    Needs a ``test_step`` that returns ``dict[task, Prediction]``; a task counts the batches that carry its target.
    Samples whose score is undefined (NaN) are in no ranking.
    """

    def __init__(self) -> None:
        self._scored: dict[str, list[_Scored]] = {}

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew."""
        self._scored = {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Scores the samples of a batch, for every task."""
        network: Any = pl_module.network
        for name, prediction in (outputs or {}).items():
            task = network.tasks[name]
            if task.target in batch:
                scores = task.scores(prediction, batch)
                scored = [_Scored(float(s), dataloader_idx, k) for s, k in zip(scores, batch["key"], strict=True)]
                self._scored.setdefault(name, []).extend(scored)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the scores of all processes together."""
        if trainer.world_size > 1:
            parts: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, self._scored)
            names = list(dict.fromkeys(name for part in parts for name in part))
            self._scored = {name: [scored for part in parts for scored in part.get(name, [])] for name in names}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As for a test, unless training is going on."""
        if trainer.state.fn == "validate":
            self.on_test_epoch_start(trainer, pl_module)

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """As for a test, unless training is going on."""
        if trainer.state.fn == "validate":
            self.on_test_batch_end(trainer, *args)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As for a test, unless training is going on."""
        if trainer.state.fn == "validate":
            self.on_test_epoch_end(trainer, pl_module)

    def scores(self, sources: Sequence[str]) -> dict[str, dict[str, float]]:
        """The score of every sample, by task and key; scores that are undefined are left out.

        Where a task has several of the sources, a key is ``<source>/<key>``, for they may have keys in common. A task
        of one source keeps plain keys: runs that name their sources otherwise still have the same samples.

        Args:
            sources: names in the order of the dataloaders.
        """
        return {name: dict(_named(scored, sources)) for name, scored in self._scored.items()}

    def chosen(self, examples: Mapping[str, Examples], count: int = 3) -> dict[str, list[Example]]:
        """The ``count`` worst, median and best samples of every task, none of them twice.

        Args:
            examples: ``datamodule.examples(split)``, its sources in the order of the dataloaders.
            count: of each kind; fewer where there are not enough samples.
        """
        sources = list(examples)
        index = {(s, e.key(i)): i for s, e in enumerate(examples.values()) for i in range(len(e))}
        return {
            name: [
                Example(kind, scored.score, sources[scored.source], index[scored.source, scored.key], scored.key)
                for kind, scored in _choose(scores, count)
            ]
            for name, scores in self._scored.items()
        }


def draw_examples(
    network: Network,
    chosen: Mapping[str, Sequence[Example]],
    examples: Mapping[str, Examples],
    collate: Callable[[list[Sample]], Batch],
) -> dict[str, list[Example]]:
    """Reads the chosen samples again, predicts each by itself, and draws them as their task would."""
    return {
        name: [replace(e, picture=_draw(network, name, examples[e.source][e.index], collate)) for e in picked]
        for name, picked in chosen.items()
    }


@torch.inference_mode()
def _draw(network: Network, name: str, sample: Sample, collate: Callable[[list[Sample]], Batch]) -> np.ndarray:
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    batch = to_device(collate([sample]), device)
    training = network.training
    network.eval()
    prediction = prediction_of(network.predict(batch, [name])[name], batch, 0)
    prediction = explained(network, name, sample, prediction)
    network.train(training)
    task: Any = network.tasks[name]
    return task.draw(sample, prediction)


def _named(scored: list[_Scored], sources: Sequence[str]) -> Iterator[tuple[str, float]]:
    several = len({one.source for one in scored}) > 1
    for one in sorted(scored):
        if not math.isnan(one.score):
            yield f"{sources[one.source]}/{one.key}" if several else one.key, one.score


def _choose(scores: list[_Scored], count: int) -> list[tuple[str, _Scored]]:
    ranked = sorted(scored for scored in scores if not math.isnan(scored.score))
    each = min(count, len(ranked) // 3) or min(1, len(ranked))
    worst, rest = ranked[:each], ranked[each:]
    split = len(rest) - each
    best, middle = (rest[split:], rest[:split]) if split >= 0 else (rest, [])
    begin = (len(middle) - each) // 2
    median = middle[begin : begin + each] if begin >= 0 else []
    kinds = (("worst", worst), ("median", median), ("best", best[::-1]))
    return [(kind, scored) for kind, group in kinds for scored in group]
