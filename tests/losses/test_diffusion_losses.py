"""Losses of diffusion and distillation against their formulas, written out in double precision."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from visionkit.generation.decoupled_diffusion import Denoising, restored
from visionkit.losses.diffusion import DriftAndNoise, Restoration, known_mean
from visionkit.losses.distillation import (
    ConstantDistillation,
    DoubtDistillation,
    constant_gradient,
    continued_log,
    doubt_weights,
)

TIMES = [0.02, 0.4, 0.9]


def make(decode: Callable | None = None, target: torch.Tensor | None = None) -> Denoising:
    torch.manual_seed(0)
    clean, noise, noisy, drift, found = torch.randn(5, 3, 2, 4, 6, dtype=torch.float64)
    time = torch.tensor(TIMES, dtype=torch.float64)
    target = torch.rand(3, 4, 6, dtype=torch.float64).round() if target is None else target
    known = (target >= 0)[:, None].double()
    drift.requires_grad_()
    found.requires_grad_()
    found_clean = restored(noisy, drift, found, time)
    decode = decode or (lambda latent: latent[:, :1])
    return Denoising(clean, noise, time, drift, found, found_clean, known, decode, target)


@pytest.mark.parametrize("absolute", [True, False])
def test_drift_and_noise_sample_by_sample(absolute):
    step = make()
    total = 0.0
    for index, t in enumerate(TIMES):
        terms = []
        for found, wanted in ((step.found_drift, -step.clean), (step.found_noise, step.noise)):
            error = (found - wanted)[index]
            terms.append(((error**2).mean() + error.abs().mean()) / 2 if absolute else (error**2).mean())
        total += (t + 1) / math.sqrt(t) * terms[0] + math.sqrt(2 - t) / math.sqrt(1 - t + 1e-4) * terms[1]
    torch.testing.assert_close(DriftAndNoise(absolute=absolute)(step), total / 3)


def test_restoration_weighs_each_sample_by_its_own_time():
    step = make()
    wanted = sum((1 - t) ** 2 * (step.found_clean - step.clean)[i].abs().mean() for i, t in enumerate(TIMES)) / 3
    torch.testing.assert_close(Restoration()(step), wanted)


def test_unknown_cells_say_nothing():
    target = torch.zeros(3, 4, 6, dtype=torch.float64)
    target[0, :2], target[1] = -1, -1
    step = make(target=target)
    other = step._replace(clean=step.clean.clone(), noise=step.noise.clone())
    for part in (other.clean, other.noise):
        part[0, :, :2], part[1] = 7, -5
    for loss in (DriftAndNoise(), Restoration()):
        torch.testing.assert_close(loss(step), loss(other))
    mean = known_mean((step.clean**2), step.known)
    torch.testing.assert_close(mean[0], (step.clean[0, :, 2:] ** 2).mean())
    assert mean[1] == 0


def test_weights_of_pixels_by_hand():
    target = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.2, 0.3, 0.6, -1.0]]])
    wanted = [[[0.75, 0.275, 0.275, 0.275], [0, 0, 0.6, 0]]]
    assert doubt_weights(target).tolist() == [[pytest.approx(row) for row in wanted[0]]]
    for value in (0.0, 1.0, -1.0, 0.2):
        assert torch.equal(doubt_weights(torch.full((1, 2, 2), value)), torch.zeros(1, 2, 2))


def test_the_logarithm_goes_on_along_its_tangent():
    values = torch.tensor([-1.0, 0.0, 0.005, 0.01, 0.3, 1.0, 1.5], dtype=torch.float64, requires_grad=True)
    found = continued_log(values)
    wanted = [math.log(0.01) + (v - 0.01) / 0.01 for v in (-1, 0, 0.005)] + [math.log(0.01), math.log(0.3), 0, 0]
    assert found.tolist() == pytest.approx(wanted)
    found.sum().backward()
    assert values.grad.tolist()[:3] == [100, 100, 100]
    assert values.grad.tolist()[4:] == pytest.approx([1 / 0.3, 1, 0])


def test_distillation_inside_is_the_weighted_cross_entropy():
    target = torch.tensor([0.0, 1.0, 0.2, 0.7, -1.0, 0.0]).double().expand(3, 4, 6)
    step = make(lambda latent: latent[:, :1].sigmoid() * 0.9 + 0.05, target)
    found = step.decode(step.found_clean)[:, 0]
    weights, wanted = doubt_weights(target), 0.0
    for index, t in enumerate(TIMES):
        known = target[index] >= 0
        entropy = F.binary_cross_entropy(found[index][known], target[index][known], weights[index][known])
        wanted += (1 - t) ** 2 * entropy / 3
    for loss in (DoubtDistillation(), ConstantDistillation()):
        torch.testing.assert_close(loss(step), wanted)


def test_the_true_gradient_is_that_of_finite_differences():
    torch.manual_seed(1)
    decoder = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1)).double()
    step, loss = make(decoder), DoubtDistillation()
    latent = step.found_clean.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(step._replace(found_clean=x)), latent)
    (gradient,) = torch.autograd.grad(loss(step._replace(found_clean=latent)), latent)
    assert gradient.std() > 0.1 * gradient.abs().mean()  # it has a direction


def test_the_constant_gradient_is_the_term_over_the_count():
    step, loss = make(lambda latent: 2 * latent[:, :1]), ConstantDistillation()
    latent = step.found_clean.detach().requires_grad_()
    value = loss(step._replace(found_clean=latent))
    (gradient,) = torch.autograd.grad(value, latent)
    torch.testing.assert_close(gradient, torch.full_like(latent, value.item() / latent.numel()))
    found, target = step.decode(latent)[:, 0].clamp(0, 1), step.target
    entropy = F.binary_cross_entropy(found, target, doubt_weights(target), reduction="none").mean((1, 2))
    torch.testing.assert_close(value, ((1 - step.time) ** 2 * entropy).mean())


def test_a_scalar_with_a_constant_gradient():
    latent = torch.randn(3, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(constant_gradient(latent, torch.tensor(30.0)), latent)
    assert gradient.tolist() == [[2.0] * 5] * 3


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.2])
def test_nothing_drawn_everything_drawn_and_nothing_known(value):
    step = make(target=torch.full((3, 4, 6), value, dtype=torch.float64))
    for loss in (DriftAndNoise(), Restoration(), DoubtDistillation(), ConstantDistillation()):
        term = loss(step)
        assert torch.isfinite(term)
        for gradient in torch.autograd.grad(
            term, (step.found_drift, step.found_noise), allow_unused=True, retain_graph=True
        ):
            assert gradient is None or torch.isfinite(gradient).all()
