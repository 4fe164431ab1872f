import numpy as np
import pytest

from visionkit.commands.delta import baseline, delta_m, remarks
from visionkit.errors import ConfigError


def test_the_mean_of_the_relative_changes() -> None:
    joint = {"a": {"x": 0.6, "y": 0.6}, "b": {"x": -1.0}}
    singles = {"a": {"x": 0.4, "y": 0.6}, "b": {"x": -2.0}}
    gain = delta_m(joint, singles)
    assert gain.percent == pytest.approx(100 * (0.1 / 0.5 + 1.0 / 2.0) / 2)
    assert gain.low <= gain.percent <= gain.high


def test_the_interval_holds_that_of_the_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    single = {str(i): value for i, value in enumerate(rng.normal(10.0, 1e-9, 400))}
    change = rng.normal(0.5, 2.0, 400)
    joint = {key: value + change[int(key)] for key, value in single.items()}
    gain = delta_m({"a": joint}, {"a": single}, draws=4000)
    half = 1.96 * change.std() / 20 / 10 * 100
    assert gain.percent == pytest.approx(change.mean() * 10)
    assert (gain.high - gain.low) / 2 == pytest.approx(half, rel=0.1)


def test_equal_runs_gain_nothing_for_sure() -> None:
    scores = {"a": {"x": 0.3, "y": 0.9}}
    gain = delta_m(scores, scores)
    assert (gain.percent, gain.low, gain.high) == (0.0, 0.0, 0.0)
    assert gain.text() == "+0.0 % (+0.0 to +0.0)"


def test_only_samples_and_tasks_of_both_count() -> None:
    gain = delta_m({"a": {"x": 2.0, "z": 99.0}, "c": {"x": 7.0}}, {"a": {"x": 1.0, "y": -99.0}, "b": {"x": 3.0}})
    assert gain.percent == pytest.approx(100)


@pytest.mark.parametrize("joint", [{}, {"b": {"x": 1.0}}, {"a": {}}, {"a": {"y": 1.0}}, {"zero": {"x": 1.0}}])
def test_nothing_to_compare_is_none(joint) -> None:
    assert delta_m(joint, {"a": {"x": 1.0}, "zero": {"x": 0.0}}) is None


def test_it_is_the_same_every_time() -> None:
    rng = np.random.default_rng(1)
    first, second = ({"a": {str(i): float(v) for i, v in enumerate(rng.random(50))}} for _ in range(2))
    assert delta_m(first, second) == delta_m(first, second)


def test_a_second_single_run_of_a_task_is_refused() -> None:
    runs = [("runs/a", {"a": {"x": 1.0}}), ("runs/b", {"b": {"x": 2.0}})]
    assert baseline(runs) == {"a": {"x": 1.0}, "b": {"x": 2.0}}
    assert baseline([]) == {}
    with pytest.raises(ConfigError, match=r"C238.*task a: runs/a and runs/again"):
        baseline([*runs, ("runs/again", {"a": {"x": 3.0}})])


def test_what_a_gain_is_of_and_what_it_leaves_out() -> None:
    joint = {"a": {"x": 1.0}, "b": {"x": 1.0}, "c": {"x": 1.0}}
    assert list(remarks(joint, {"a": {"x": 1.0}, "c": {"y": 1.0}})) == [
        "delta-m of a",
        "no single run of b with scores",
        "no samples of c that its single run has, too",
    ]
    assert list(remarks(joint, joint)) == ["delta-m of a, b, c"]
    (none, *zero) = remarks(joint, {**joint, "b": {"x": 0.0}})
    assert (none, zero) == ("no delta-m", ["the mean score of the single run of b is 0"])
    assert list(remarks({}, joint)) == ["no delta-m, because its evaluation kept no scores.json"]
