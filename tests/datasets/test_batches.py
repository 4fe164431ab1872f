from collections import Counter

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
