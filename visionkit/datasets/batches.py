"""Which samples form which batch: pure functions of the seed and of a position in training."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from jaxtyping import Int64

from visionkit.datasets.mixtures import Each, Mixture
from visionkit.seeding import generator, order

Place = tuple[str, int, int]
"""Source, pass over that source, index in it."""


class Passes:
    """Batches of one source, numbered without end; every pass is a new order.

    A pass leaves out the samples that do not fill its last batch (others in each pass); only a source
    with fewer samples than there are ranks repeats some within a batch.

    With ``groups`` samples of one group share a batch. What is left of the groups shares batches with what is left
    of their neighbours, so that a pass has as many batches as without groups. The batches' order is random, too.

    Args:
        length: samples of the source.
        batch_size: samples a batch and rank.
        seed: of the run.
        rank, world: this process among all that train together; each takes its own slice of a batch.
        groups: a number for each sample, near ones for samples that are alike.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        groups: Int64[np.ndarray, "n"] | None = None,
    ) -> None:
        self.length, self.seed, self.rank, self.world = length, seed, rank, world
        self.groups = groups
        self.slice = min(batch_size, max(1, length // world))
        self.per_pass = max(1, length // (self.slice * world)) if length else 0
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, int))

    def batch(self, number: int) -> list[tuple[int, int]]:
        """This rank's places (pass, index) in the batch of that number."""
        epoch, step = divmod(number, self.per_pass)
        if self._order[0] != epoch:
            self._order = (epoch, self._arranged(order(self.seed, epoch, self.length), epoch))
        first = (step * self.world + self.rank) * self.slice
        return [(epoch, int(self._order[1][place % self.length])) for place in range(first, first + self.slice)]

    def _arranged(self, shuffled: np.ndarray, epoch: int) -> np.ndarray:
        """The order of a pass, by groups where there are some."""
        batch = self.slice * self.world
        if self.groups is None or batch > self.length:
            return shuffled
        by_group = shuffled[np.argsort(self.groups[shuffled], kind="stable")]
        _, starts, counts = np.unique(self.groups[by_group], return_index=True, return_counts=True)
        place_in_group = np.arange(self.length) - np.repeat(starts, counts)
        full = place_in_group < np.repeat(counts - counts % batch, counts)
        rows = np.concatenate([by_group[full], by_group[~full]])[: self.per_pass * batch].reshape(-1, batch)
        return generator(self.seed, "batches", epoch).permutation(rows).ravel()


class TrainBatches:
    """Sampler for training: each step takes a batch of the sources that the mixture chooses.

    Args:
        sources: passes by name.
        consumed: tells how many batches training has consumed; asked at the start of every epoch, so a
            resumed run goes on exactly where it stopped.
        mixture: chooses the sources of a step.
        seed: of the run.
    """

    def __init__(
        self, sources: Mapping[str, Passes], consumed: Callable[[], int], mixture: Mixture | None = None, seed: int = 0
    ) -> None:
        self.sources, self.consumed, self.mixture, self.seed = dict(sources), consumed, mixture or Each(), seed
        self.batches = {name: passes.per_pass for name, passes in self.sources.items()}
        self._known: tuple[int, Counter[str]] = (0, Counter())

    def __len__(self) -> int:
        return self.mixture.epoch_steps(self.batches)

    def __iter__(self) -> Iterator[list[Place]]:
        start = self.consumed()
        taken = self._taken(start)
        end = start + len(self)
        for number in range(start, end):
            places: list[Place] = []
            for name in self.mixture.chosen(self.batches, self.seed, number):
                places += [(name, *place) for place in self.sources[name].batch(taken[name])]
                taken[name] += 1
            yield places
        self._known = (end, taken)

    def _taken(self, start: int) -> Counter[str]:
        """Batches of each source before a step: as they are known from the epoch before, or by choosing again."""
        if self._known[0] == start:
            return Counter(self._known[1])
        return Counter(name for step in range(start) for name in self.mixture.chosen(self.batches, self.seed, step))


class EvalBatches:
    """Sampler for evaluation: every sample exactly once over all ranks, in order, never padded.

    Ranks with fewer samples yield empty batches at the end, so that all make the same number of steps.
    """

    def __init__(self, source: str, length: int, batch_size: int, rank: int = 0, world: int = 1) -> None:
        self.source, self.batch_size = source, batch_size
        self.shard = range(rank, length, world)
        self.steps = -(-len(range(0, length, world)) // batch_size)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Place]]:
        for step in range(self.steps):
            shard = self.shard[step * self.batch_size : (step + 1) * self.batch_size]
            yield [(self.source, 0, index) for index in shard]
