import math

import pytest
import torch

from visionkit.errors import ConfigError
from visionkit.multitask.adaptive import DynamicAverage, GradNorm, Uncertainty


def step(balance, **losses: float):
    return balance({name: {"loss": torch.tensor(value)} for name, value in losses.items()})


def test_learnt_variances_become_the_losses() -> None:
    """Kendall et al. 2018: the derivative of exp(-s) L / 2 + s / 2 is zero where exp(s) = L."""
    balance = Uncertainty(["a", "b"])
    optimizer = torch.optim.Adam(balance.parameters(), lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        step(balance, a=4.0, b=0.25)[0].backward()
        optimizer.step()
    assert [float(value.exp()) for value in balance.log_variance] == pytest.approx([4.0, 0.25], rel=1e-2)
    assert balance.weights_now() == pytest.approx({"a": 1 / 8, "b": 2.0}, rel=1e-2)


def test_the_variance_of_an_absent_task_stands_still() -> None:
    """Also under an optimizer whose momentum still points somewhere from the steps that had the task."""
    balance = Uncertainty(["a", "b"])
    optimizer = torch.optim.AdamW(balance.parameters(), lr=0.1)
    found = []
    for losses in ({"a": 4.0, "b": 4.0}, {"a": 4.0}, {"a": 4.0}):
        optimizer.zero_grad()
        step(balance, **losses)[0].backward()
        optimizer.step()
        found.append([float(value) for value in balance.log_variance])
    assert found[0][1] > 0
    assert [b for _, b in found] == [found[0][1]] * 3
    assert found[2][0] > found[1][0] > found[0][0]


def test_dynamic_weights_follow_the_formula() -> None:
    balance = DynamicAverage(["a", "b"], temperature=2.0)
    for a, b in ((4.0, 1.0), (2.0, 1.0)):
        for factor in (0.5, 1.5):  # the mean of an epoch counts
            step(balance, a=a * factor, b=b * factor)
        balance.end_epoch()
    powers = [math.exp(0.5 / 2), math.exp(1.0 / 2)]
    expected = [2 * power / sum(powers) for power in powers]
    assert list(balance.weights_now().values()) == pytest.approx(expected)
    assert float(step(balance, a=1.0, b=1.0)[0]) == pytest.approx(2.0)


def test_dynamic_weights_are_even_at_first_and_survive_an_epoch_without_a_task() -> None:
    balance = DynamicAverage(["a", "b"])
    step(balance, a=3.0)
    balance.end_epoch()
    assert list(balance.weights_now().values()) == [1.0, 1.0]
    step(balance, a=3.0, b=1.0)
    balance.end_epoch()
    assert all(math.isfinite(weight) for weight in balance.weights_now().values())


def test_dynamic_weights_continue_after_a_checkpoint() -> None:
    first, second = DynamicAverage(["a", "b"]), DynamicAverage(["a", "b"])
    step(first, a=3.0, b=2.0)
    second.load_state_dict(first.state_dict())
    for balance in (first, second):
        step(balance, a=1.0, b=5.0)
        balance.end_epoch()
    assert first.weights_now() == second.weights_now()
    assert torch.equal(first.last, second.last)


def test_temperature_must_be_above_zero() -> None:
    with pytest.raises(ConfigError, match="C225"):
        DynamicAverage(["a"], temperature=0)


def test_gradnorm_evens_out_regressions_of_different_scale() -> None:
    """The toy of Chen et al. 2018, section 4: the same regression at two scales; its gradients become of one size."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(6, 6)
    heads = [torch.nn.Linear(6, 3) for _ in range(2)]
    image, target = torch.randn(64, 6), torch.randn(64, 3)
    balance = GradNorm(["a", "b"], alpha=0.0, lr=0.004)
    for _ in range(800):
        hidden = layer(image).tanh()
        losses = [
            (scale * (head(hidden) - target)).square().mean() for head, scale in zip(heads, (1.0, 5.0), strict=True)
        ]
        balance({name: {"loss": loss} for name, loss in zip("ab", losses, strict=True)}, list(layer.parameters()))
    norms = [torch.autograd.grad(loss, layer.weight, retain_graph=True)[0].norm() for loss in losses]
    ratio = float(balance.weights[0] * norms[0] / (balance.weights[1] * norms[1]))
    assert ratio == pytest.approx(1.0, abs=0.15)
    assert float(balance.weights.sum()) == pytest.approx(2.0)


def test_gradnorm_prefers_the_task_that_learns_slowly() -> None:
    shared = torch.nn.Parameter(torch.ones(1, 2))
    balance = GradNorm(["slow", "fast"], alpha=1.5)
    for fast in (1.0, 0.1):
        product = shared.sum()
        balance({"slow": {"loss": product - 1}, "fast": {"loss": product - 2 + fast}}, [shared])
    weights = balance.weights_now()
    assert weights["slow"] > 1 > weights["fast"]
