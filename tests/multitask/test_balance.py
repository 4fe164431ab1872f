from functools import partial

import pytest
import torch

from visionkit.errors import ConfigError
from visionkit.multitask.adaptive import DynamicAverage, GradNorm
from visionkit.multitask.aggregation import Aggregated, pcgrad
from visionkit.multitask.balance import Fixed

TASKS = ("segmentation", "counting")


def terms() -> dict[str, dict[str, torch.Tensor]]:
    return {
        "segmentation": {"cross_entropy": torch.tensor(2.0), "dice": torch.tensor(0.5)},
        "counting": {"density": torch.tensor(3.0)},
    }


@pytest.mark.parametrize(("weights", "expected"), [(None, 5.5), ({"counting": 0.1}, 2.8)])
def test_total_is_the_weighted_sum(weights, expected) -> None:
    total, sums = Fixed(TASKS, weights)(terms())
    assert float(total) == pytest.approx(expected)
    assert {name: float(value) for name, value in sums.items()} == {"segmentation": 2.5, "counting": 3.0}


def test_absent_tasks_cost_nothing() -> None:
    balance = Fixed(TASKS, {"segmentation": 2.0, "counting": 7.0})
    assert float(balance({"segmentation": terms()["segmentation"]})[0]) == 5.0
    total, sums = balance({})
    assert float(total) == 0
    assert sums == {}


def test_gradients_reach_the_terms() -> None:
    leaf = torch.tensor(2.0, requires_grad=True)
    total, _ = Fixed(["a"], {"a": 3.0})({"a": {"x": leaf * leaf}})
    total.backward()
    assert float(leaf.grad) == 12.0


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_impossible_weights_are_named(weight) -> None:
    with pytest.raises(ConfigError, match=r"C45.*balance\.weights\.counting"):
        Fixed(TASKS, {"counting": weight})


def test_a_weight_of_no_task_is_named() -> None:
    with pytest.raises(ConfigError, match=r"C18.*countin.*counting"):
        Fixed(TASKS, {"countin": 1.0})


@pytest.mark.parametrize(
    ("balance", "several", "warnings"),
    [
        (GradNorm, (), 1),
        (partial(Aggregated, weighting=pcgrad), (), 1),
        (GradNorm, (50,), 0),
        (GradNorm, (150,), 1),
        (DynamicAverage, (), 0),
        (Fixed, (), 0),
    ],
)
def test_balancing_that_never_sees_two_tasks_says_so_once(balance, several, warnings, capsys) -> None:
    made = balance(TASKS)
    for step in range(250):
        made({name: own for name, own in terms().items() if step in several or name == TASKS[step % 2]})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == warnings
    assert all("none of 100 steps had two" in line and "mixture=each" in line for line in lines)
