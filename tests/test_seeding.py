import forked
import numpy as np
import torch

from visionkit.seeding import fold, generator, order, seed_model


def test_fold_is_the_same_in_another_process() -> None:
    done = forked.program("from visionkit.seeding import fold; print(fold(7, 'key', 3))")
    assert int(done.stdout) == fold(7, "key", 3)


def test_fold_tells_places_apart() -> None:
    places = [(0, 1, 2), (0, 12), (0, "1", 2), (1, 0, 2), (0, 1, 2, 0), ("0", "1", "2"), (0, "1\x1f2")]
    assert len({fold(*place) for place in places}) == len(places)


def test_order_is_a_permutation_for_every_length() -> None:
    for length in range(6):
        assert sorted(order(1, 2, length)) == list(range(length))


def test_generator_depends_on_key_alone() -> None:
    first = generator(0, "a").random(4)
    generator(0, "b").random(100)
    np.testing.assert_array_equal(first, generator(0, "a").random(4))


def test_model_draws_differ_by_step_and_rank() -> None:
    draws = []
    for step, rank in [(0, 0), (0, 1), (1, 0), (0, 0)]:
        seed_model(5, step, rank)
        draws.append(torch.rand(3))
    assert torch.equal(draws[0], draws[3])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
