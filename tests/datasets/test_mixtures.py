from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch

from visionkit.datasets.batches import Passes, TrainBatches
from visionkit.datasets.mixtures import ByLoss, Each, RoundRobin, Temperature
from visionkit.errors import ConfigError

SIZES = {"large": 30, "small": 10}


def batches(mixture, start: int = 0) -> TrainBatches:
    passes = {name: Passes(size * 2, 2, seed=0) for name, size in SIZES.items()}
    return TrainBatches(passes, lambda: start, mixture, seed=0)


def sources(mixture, start: int = 0) -> list[list[str]]:
    return [list(dict.fromkeys(name for name, _, _ in places)) for places in batches(mixture, start)]


def test_each_takes_all_in_every_step() -> None:
    assert sources(Each()) == [["large", "small"]] * 30


def test_round_robin_takes_turns() -> None:
    found = sources(RoundRobin())
    assert len(found) == 40
    assert found[:3] == [["large"], ["small"], ["large"]]
    assert Counter(name for (name,) in found) == {"large": 20, "small": 20}


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.75), (2.0, 3**0.5 / (1 + 3**0.5)), (1e9, 0.5)])
def test_temperature_draws_by_a_power_of_the_size(temperature, share) -> None:
    mixture = Temperature(temperature)
    drawn = [mixture.chosen(SIZES, 0, step)[0] for step in range(2000)]
    assert drawn.count("large") / 2000 == pytest.approx(share, abs=0.035)


def test_draws_depend_on_seed_and_step_alone() -> None:
    first, second = Temperature(), Temperature()
    backwards = [second.chosen(SIZES, 3, step) for step in reversed(range(50))][::-1]
    assert [first.chosen(SIZES, 3, step) for step in range(50)] == backwards
    assert [first.chosen(SIZES, 4, step) for step in range(50)] != backwards


@pytest.mark.parametrize("mixture", [Each(), RoundRobin(), Temperature(2.0), ByLoss()])
def test_a_run_that_goes_on_takes_the_same_batches(mixture) -> None:
    whole = list(batches(mixture))
    assert list(islice(batches(mixture, 7), len(whole) - 7)) == whole[7:]


@pytest.mark.parametrize("mixture", [RoundRobin(), Temperature(2.0)])
def test_every_source_passes_over_all_its_samples(mixture) -> None:
    sampler, at = None, [0]
    passes = {name: Passes(size * 2, 2, seed=0) for name, size in SIZES.items()}
    sampler = TrainBatches(passes, lambda: at[0], mixture, seed=0)
    places = []
    for _ in range(3):
        places += [place for step in sampler for place in step]
        at[0] += len(sampler)
    for name, size in SIZES.items():
        first_pass = [index for source, epoch, index in places if source == name and epoch == 0]
        assert sorted(first_pass) == list(range(size * 2))


def observed(mixture: ByLoss, *epochs: dict[str, float]) -> ByLoss:
    for epoch in epochs:
        for factor in (0.5, 1.5):
            mixture.observe({name: torch.tensor(value * factor) for name, value in epoch.items()})
        mixture.end_epoch()
    return mixture


def test_what_is_learnt_slowly_is_drawn_more_often() -> None:
    mixture = observed(ByLoss(), {"large": 4.0, "small": 1.0}, {"large": 1.0, "small": 1.0})
    drawn = [mixture.chosen(SIZES, 0, step)[0] for step in range(80, 120)]
    later = [mixture.chosen(SIZES, seed, 80)[0] for seed in range(2000)]
    assert set(drawn) == {"large", "small"}
    assert later.count("small") / 2000 == pytest.approx(0.8, abs=0.03)


def test_draws_of_past_epochs_stay_when_losses_come() -> None:
    fresh = [ByLoss().chosen(SIZES, 0, step) for step in range(80)]
    learnt = observed(ByLoss(), {"large": 4.0, "small": 1.0}, {"large": 1.0, "small": 1.0})
    assert [learnt.chosen(SIZES, 0, step) for step in range(80)] == fresh


def test_losses_go_with_the_checkpoint() -> None:
    first = observed(ByLoss(), {"large": 4.0, "small": 1.0})
    first.observe({"large": torch.tensor(2.0)})
    second = ByLoss()
    second.load_state_dict(first.state_dict())
    for mixture in (first, second):
        mixture.observe({"large": torch.tensor(4.0), "small": torch.tensor(1.0)})
        mixture.end_epoch()
    assert first.history == second.history == [{"large": 4.0, "small": 1.0}, {"large": 3.0, "small": 1.0}]


def test_a_loss_that_is_zero_or_unknown_changes_nothing() -> None:
    mixture = observed(ByLoss(), {"large": 0.0, "small": float("nan")}, {"large": 1.0})
    shares = Counter(mixture.chosen(SIZES, seed, 80)[0] for seed in range(1000))
    assert abs(shares["large"] - 500) < 60
    assert np.isfinite(shares["small"])


def test_temperature_must_be_above_zero() -> None:
    with pytest.raises(ConfigError, match="C227"):
        Temperature(0)
