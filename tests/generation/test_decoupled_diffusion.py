"""The equations of decoupled diffusion, in double precision."""

import math

import pytest
import torch

from visionkit.generation import decoupled_diffusion as process

TIMES = [1e-4, 0.013, 0.25, 0.5, 0.87, 1.0]


@pytest.fixture
def maps() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return list(torch.randn(4, len(TIMES), 3, 5, 4, dtype=torch.float64))


def test_noise_is_added_as_written_and_taken_away_again(maps):
    clean, noise, *_ = maps
    time = torch.tensor(TIMES, dtype=torch.float64)
    noisy = process.noised(clean, noise, time)
    for index, t in enumerate(TIMES):
        torch.testing.assert_close(noisy[index], clean[index] - t * clean[index] + math.sqrt(t) * noise[index])
    torch.testing.assert_close(process.restored(noisy, -clean, noise, time), clean, rtol=0, atol=1e-12)


def test_nothing_is_left_at_time_one(maps):
    clean, noise, *_ = maps
    assert torch.equal(process.noised(clean, noise, torch.ones(len(clean), dtype=torch.float64)), noise)


def test_steps_as_written(maps):
    noisy, drift, noise, fresh = maps
    steps = [1e-4, 0.01, 0.25, 0.2, 0.5, 0.2]
    time, step = (torch.tensor(values, dtype=torch.float64) for values in (TIMES, steps))
    found = process.stepped(noisy, drift, noise, time, step, fresh)
    for index, (t, s) in enumerate(zip(TIMES, steps, strict=True)):
        mean = noisy[index] - s * drift[index] - s / math.sqrt(t) * noise[index]
        torch.testing.assert_close(found[index], mean + math.sqrt(s * (t - s) / t) * fresh[index])


def test_a_step_with_true_predictions_leads_to_the_distribution_of_the_earlier_time(maps):
    clean, noise, _, fresh = maps
    t, s = (torch.full((len(clean),), value, dtype=torch.float64) for value in (0.7, 0.3))
    mean, of_noise, of_fresh = (
        process.stepped(process.noised(a, b, t), -a, b, t, s, c)
        for a, b, c in ((clean, 0 * noise, 0 * fresh), (0 * clean, noise, 0 * fresh), (0 * clean, 0 * noise, fresh))
    )
    torch.testing.assert_close(mean, (1 - 0.4) * clean)
    variance = (of_noise / noise).square() + (of_fresh / fresh).square()
    torch.testing.assert_close(variance, torch.full_like(variance, 0.4))


@pytest.mark.parametrize("t", TIMES)
def test_outputs_of_the_network_as_written(maps, t):
    noisy, first, second, _ = maps
    drift, noise = process.preconditioned(noisy, first, second, torch.full((len(noisy),), t, dtype=torch.float64))
    length = math.sqrt(t * t + 1)
    torch.testing.assert_close(drift, (1 - t) * noisy + t / length * first)
    torch.testing.assert_close(noise, math.sqrt(t) * noisy + math.sqrt(1 - t) / length * second)


def test_weights_by_hand():
    time = torch.tensor([1.0, 0.25, 0.01], dtype=torch.float64)
    assert process.drift_weight(time).tolist() == pytest.approx([2.0, 2.5, 10.1])
    wanted = [100.0, math.sqrt(1.75 / 0.7501), math.sqrt(1.99 / 0.9901)]
    assert process.noise_weight(time).tolist() == pytest.approx(wanted)


def test_times():
    assert process.schedule(5) == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 1e-4, 0])
    assert process.schedule(5, split_last=False) == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0])
    assert process.schedule(1) == [1, 1e-4, 0]


@pytest.mark.parametrize("split_last", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_true_predictions_lead_to_the_clean_map_whatever_the_noise(maps, steps, split_last):
    clean, start, *_ = maps
    seen: list[float] = []

    def oracle(noisy, time):
        seen.append(float(time[0]))
        t = time.view(-1, 1, 1, 1)
        return -clean, (noisy - (1 - t) * clean) / t.sqrt()

    times = process.schedule(steps, split_last)
    found = process.sample(oracle, start, lambda: torch.randn_like(start), times)
    torch.testing.assert_close(found, clean, rtol=0, atol=1e-9)
    assert seen == times[:-1]


def test_the_same_noise_gives_the_same_bits(maps):
    start, *draws = maps
    runs = []
    for _ in range(2):
        left = iter(draws)
        runs.append(process.sample(lambda x, t: (x.sin(), x.cos()), start, lambda: next(left), process.schedule(3)))  # noqa: B023
    assert torch.equal(*runs)
