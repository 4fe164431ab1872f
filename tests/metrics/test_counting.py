"""Errors of counts against their definitions."""

import numpy as np
import pytest
import torch

from visionkit.labels import Objects
from visionkit.metrics.counting import CountErrors, counting, grid_errors


def pictures(sizes=((16, 24), (9, 13), (1, 7), (40, 8)), seed=0):
    rng = np.random.default_rng(seed)
    for height, width in sizes:
        density = torch.from_numpy(rng.random((height, width)).astype(np.float32)) / 10
        yield density, torch.from_numpy(rng.random((int(rng.integers(0, 30)), 2)) * [width, height])


def test_figures_of_whole_pictures():
    metric = CountErrors()
    found, true = [], []
    for density, points in pictures():
        metric.update(density, points)
        found.append(density.double().sum().item())
        true.append(len(points))
    errors = np.array(found) - np.array(true)
    figures = {name: value.item() for name, value in metric.compute().items()}
    assert tuple(figures) == CountErrors.figures
    assert figures["mae"] == pytest.approx(np.abs(errors).mean())
    assert figures["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert figures["bias"] == pytest.approx(errors.mean())
    assert figures["nae"] == pytest.approx((np.abs(errors) / np.maximum(true, 1)).mean())


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_game_is_the_error_of_each_rectangle(level):
    side = 2**level
    for density, points in pictures(sizes=((16, 24), (8, 40))):
        height, width = density.shape
        blocks = density.double().reshape(side, height // side, side, width // side).sum((1, 3)).numpy()
        edges = [np.linspace(0, length, side + 1) for length in (height, width)]
        counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], edges)
        assert grid_errors(density, points)[level].item() == pytest.approx(np.abs(blocks - counts).sum())


def test_game_never_falls():
    for seed in range(20):
        for density, points in pictures(seed=seed):
            assert (grid_errors(density, points).diff() >= -1e-9).all()


def test_empty_pictures_and_no_pictures():
    metric = CountErrors()
    assert all(value == 0 for value in metric.compute().values())
    metric.update(torch.full((4, 4), 0.125), torch.zeros(0, 2))
    assert metric.compute()["mae"] == metric.compute()["nae"] == metric.compute()["game3"] == 2


def test_processes_add_up():
    whole, parts = CountErrors(), [CountErrors(), CountErrors()]
    for index, (density, points) in enumerate(pictures()):
        whole.update(density, points)
        parts[index % 2].update(density, points)
    for state in ("grid", "sums", "pictures"):
        setattr(parts[0], state, getattr(parts[0], state) + getattr(parts[1], state))
    parts[0]._update_count = 1
    for name, value in parts[0].compute().items():
        torch.testing.assert_close(value, whole.compute()[name])


def test_the_collection_has_the_monitored_figure():
    metrics = counting(Objects())
    metrics.update(torch.ones(2, 2), torch.zeros(0, 2))
    assert metrics.compute()["mae"] == 4
