import math

import pytest
import torch

from visionkit.schedules import constant, cosine, polynomial


def rates(schedule: object, steps: int, **options: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = schedule(optimizer, total_steps=steps, **options)  # type: ignore[operator]
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_cosine_by_hand() -> None:
    found = rates(cosine, 20, warmup=0.2, final=0.1)
    assert found[:4] == pytest.approx([2 * (step + 1) / 5 for step in range(4)])
    wanted = [2 * (0.1 + 0.9 * (1 + math.cos(math.pi * step / 16)) / 2) for step in range(16)]
    assert found[4:] == pytest.approx(wanted)


def test_polynomial_by_hand() -> None:
    assert rates(polynomial, 10, power=0.9) == pytest.approx([2 * (1 - step / 10) ** 0.9 for step in range(10)])


def test_constant_rises_once() -> None:
    assert rates(constant, 10, warmup=0.4) == pytest.approx([0.4, 0.8, 1.2, 1.6, *[2.0] * 6])
