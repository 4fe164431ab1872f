from collections import Counter

import numpy as np
import pytest

from visionkit.datasets.batches import EvalBatches, Passes, TrainBatches


@pytest.mark.parametrize("length", range(1, 10))
@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_covers_every_sample_once_in_equal_steps(length: int, world: int) -> None:
    shards = [list(EvalBatches("a", length, 2, rank, world)) for rank in range(world)]
    assert len({len(shard) for shard in shards}) == 1
    seen = [index for shard in shards for batch in shard for _, _, index in batch]
    assert sorted(seen) == list(range(length))


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 5, 16, 21])
def test_a_pass_is_a_permutation_and_ranks_share_it(length: int, world: int) -> None:
    ranks = [Passes(length, 4, seed=3, rank=rank, world=world) for rank in range(world)]
    seen = Counter(index for rank in ranks for step in range(rank.per_pass) for _, index in rank.batch(step))
    repeats = 2 if length < world else 1
    assert max(seen.values()) <= repeats
    assert sum(seen.values()) >= length - 4 * world + 1


def test_order_changes_with_pass_and_seed_and_is_repeatable() -> None:
    def first_pass(seed: int, number: int) -> list[tuple[int, int]]:
        return Passes(64, 64, seed).batch(number)

    assert first_pass(0, 0) == first_pass(0, 0)
    assert [index for _, index in first_pass(0, 0)] != [index for _, index in first_pass(0, 1)]
    assert first_pass(0, 0) != first_pass(1, 0)


def test_resumed_batches_are_the_tail_of_the_uninterrupted_ones() -> None:
    sources = {"a": Passes(10, 2, 0), "b": Passes(7, 3, 0)}
    stream = [batch for epoch in range(3) for batch in TrainBatches(sources, lambda epoch=epoch: 5 * epoch)]
    for consumed in range(11):
        assert list(TrainBatches(sources, lambda consumed=consumed: consumed)) == stream[consumed : consumed + 5]


def test_every_step_takes_a_batch_of_every_source() -> None:
    batches = list(TrainBatches({"a": Passes(10, 2, 0), "b": Passes(3, 3, 0)}, lambda: 0))
    assert len(batches) == 5
    assert all(Counter(source for source, _, _ in batch) == {"a": 2, "b": 3} for batch in batches)


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("length", [3, 16, 50, 101])
def test_groups_change_neither_the_number_of_batches_nor_that_samples_come_once(length: int, world: int) -> None:
    groups = np.random.default_rng(0).integers(0, 5, length)
    ranks = [Passes(length, 4, 3, rank, world, groups) for rank in range(world)]
    plain = Passes(length, 4, 3, 0, world)
    assert ranks[0].per_pass == plain.per_pass
    seen = Counter(index for rank in ranks for step in range(rank.per_pass) for _, index in rank.batch(step))
    assert max(seen.values()) == 1
    assert sum(seen.values()) == plain.per_pass * plain.slice * world


def test_a_batch_holds_one_group_but_for_what_is_left() -> None:
    groups = np.random.default_rng(0).integers(0, 6, 500)
    passes = Passes(500, 8, seed=1, groups=groups)
    first = [[index for _, index in passes.batch(step)] for step in range(passes.per_pass)]
    mixed = [batch for batch in first if len(set(groups[batch])) > 1]
    assert len(mixed) <= 6
    assert all(np.ptp(groups[batch]) <= 2 for batch in mixed)
    second = [[index for _, index in passes.batch(step + passes.per_pass)] for step in range(passes.per_pass)]
    assert {frozenset(batch) for batch in first}.isdisjoint({frozenset(batch) for batch in second})
    # Batches come in any order, not from narrow to wide.
    means = [groups[batch].mean() for batch in first]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3


def test_grouped_batches_depend_on_seed_and_position_alone() -> None:
    groups = np.arange(40) // 10
    fresh = [Passes(40, 4, 7, groups=groups).batch(number) for number in range(25)]
    passes = Passes(40, 4, 7, groups=groups)
    assert [passes.batch(number) for number in reversed(range(25))] == fresh[::-1]
    assert Passes(40, 4, 8, groups=groups).batch(0) != fresh[0]
    sources = {"a": passes}
    for consumed in (0, 3, 10, 13):
        assert [[place[1:] for place in batch] for batch in TrainBatches(sources, lambda at=consumed: at)] == [
            Passes(40, 4, 7, groups=groups).batch(number) for number in range(consumed, consumed + 10)
        ]
