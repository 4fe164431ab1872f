from functools import partial

import pytest
import torch

from visionkit.multitask import aggregation
from visionkit.multitask.aggregation import Aggregated, aligned_mtl, cagrad, nash_mtl, pcgrad
from visionkit.multitask.gradients import Gate, cosines, gramian, task_gradients

CONFLICT = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
METHODS = [pcgrad, cagrad, aligned_mtl, nash_mtl]


def combined(method, gradients: torch.Tensor) -> torch.Tensor:
    return method(len(gradients))(gradients @ gradients.T).double() @ gradients


def test_pcgrad_projects_what_conflicts() -> None:
    """Yu et al. 2020, algorithm 1, by hand: each gradient loses what it has against the other."""
    first, second = CONFLICT
    kept = first - (first @ second) / (second @ second) * second + second - (second @ first) / (first @ first) * first
    torch.testing.assert_close(combined(pcgrad, CONFLICT), kept)


def test_cagrad_is_the_best_for_the_worst_task_within_its_ball() -> None:
    """Liu et al. 2021, eq. 2, by trying the directions of a circle about the mean gradient."""
    mean = CONFLICT.mean(0)
    angles = torch.linspace(0, 2 * torch.pi, 20001, dtype=torch.float64)
    circle = mean + 0.5 * mean.norm() * torch.stack([angles.cos(), angles.sin()], 1)
    best = circle[(circle @ CONFLICT.T).min(1).values.argmax()]
    found = combined(cagrad, CONFLICT)
    torch.testing.assert_close(found / found.norm(), best / best.norm(), atol=2e-3, rtol=0)


def test_aligned_gradients_are_orthogonal_and_of_the_smallest_singular_value() -> None:
    u, s, v = torch.linalg.svd(CONFLICT, full_matrices=False)
    aligned = s.min() * u @ v
    found = combined(aligned_mtl, CONFLICT)
    torch.testing.assert_close(found / found.norm(), aligned.mean(0) / aligned.mean(0).norm(), atol=1e-4, rtol=0)


def test_nash_is_the_bargaining_solution() -> None:
    """Navon et al. 2022, eq. 3: G a = 1 / a, up to the length."""
    gradients = torch.tensor([[2.0, 0.3], [-0.2, 0.1]], dtype=torch.float64)
    weights = nash_mtl(2, max_norm=0.0)(gradients @ gradients.T).double()
    product = weights * (gradients @ gradients.T @ weights)
    assert float(product[0] / product[1]) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_tasks_that_agree_are_left_as_they_are(method) -> None:
    gradients = torch.tensor([[1.0, 2.0, 3.0]]).repeat(2, 1).double()
    found = combined(method, gradients + 1e-4 * torch.eye(2, 3))
    assert float(torch.cosine_similarity(found, gradients[0], dim=0)) > 0.99


def two_heads() -> tuple[torch.nn.Linear, dict[str, torch.nn.Linear], torch.Tensor]:
    torch.manual_seed(0)
    return torch.nn.Linear(4, 3), {name: torch.nn.Linear(3, 2) for name in "ab"}, torch.randn(5, 4)


def losses_of(heads, features) -> dict[str, dict[str, torch.Tensor]]:
    return {name: {"loss": (i + 1) * heads[name](x).square().mean()} for i, (name, x) in enumerate(features.items())}


@pytest.mark.parametrize("method", METHODS)
def test_the_encoder_gets_the_combination_and_each_decoder_its_own(method) -> None:
    shared, heads, image = two_heads()
    balance = Aggregated(["a", "b"], method)
    features = [shared(image)]
    total, sums = balance(losses_of(heads, {n: balance.gate(n, features)[0] for n in heads}), list(shared.parameters()))
    own = {name: torch.autograd.grad(sums[name], heads[name].weight, retain_graph=True)[0] for name in heads}
    total.backward()
    plain = losses_of(heads, dict.fromkeys(heads, shared(image)))
    rows = [
        torch.cat(
            [g.flatten() for g in torch.autograd.grad(loss["loss"], list(shared.parameters()), retain_graph=True)]
        )
        for loss in plain.values()
    ]
    weights = method(2)(torch.stack(rows).double() @ torch.stack(rows).double().T).float()
    found = torch.cat([parameter.grad.flatten() for parameter in shared.parameters()])
    torch.testing.assert_close(found, weights @ torch.stack(rows), rtol=1e-3, atol=1e-5)
    for name, head in heads.items():
        torch.testing.assert_close(head.weight.grad, own[name])


def test_one_task_alone_is_not_touched() -> None:
    shared, heads, image = two_heads()
    balance = Aggregated(["a", "b"], pcgrad)
    features = balance.gate("a", [shared(image)])[0]
    total, _ = balance({"a": {"loss": heads["a"](features).sum()}}, list(shared.parameters()))
    total.backward()
    expected = torch.autograd.grad(heads["a"](shared(image)).sum(), shared.weight)[0]
    torch.testing.assert_close(shared.weight.grad, expected)


def test_without_its_packages_a_method_says_what_to_install(monkeypatch) -> None:
    def missing(_: str) -> None:
        raise ImportError(name="cvxpy")

    monkeypatch.setattr(aggregation, "import_module", missing)
    with pytest.raises(Exception, match=r"C226.*visionkit\[balance\]"):
        cagrad(2)


def test_gramian_and_cosines() -> None:
    a, b = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0]])
    c = torch.tensor([[-3.0, -4.0]])
    products = gramian([[a], [b], [c]])
    assert products.tolist() == [[25, 0, -25], [0, 0, 0], [-25, 0, 25]]
    assert cosines(products).tolist() == [[1, 0, -1], [0, 0, 0], [-1, 0, 1]]


def test_gradients_of_what_a_task_does_not_use_are_zero() -> None:
    used, unused = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))
    found = task_gradients({"a": (2 * used).sum()}, [used, unused])
    assert [part.tolist() for part in found[0]] == [[2, 2], [0, 0, 0]]


def test_a_gate_weighs_what_comes_back_at_its_moment() -> None:
    leaf = torch.ones(3, requires_grad=True)
    gate = Gate()
    (passed,) = gate([leaf * 1])
    gate.weight = -2.5
    passed.sum().backward()
    assert leaf.grad.tolist() == [-2.5] * 3
    assert torch.equal(passed, torch.ones(3))


def test_pairs_of_methods_differ() -> None:
    found = [combined(partial(method), CONFLICT) for method in METHODS]
    directions = torch.stack([value / value.norm() for value in found])
    assert float(torch.pdist(directions).max()) > 0.05
