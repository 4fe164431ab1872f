"""Suppression against the loop over pixels that it stands for."""

import math

import numpy as np
import pytest

from visionkit.metrics.edge_protocol.nms import Suppression, orientation, triangle_filter


def ridge(angle: float, height: int = 35, width: int = 35, sigma: float = 2.0) -> np.ndarray:
    """A blurred straight line through the middle; ``angle`` is that of the direction across it."""
    y, x = np.mgrid[:height, :width]
    across = (x - width // 2) * math.cos(angle) + (y - height // 2) * math.sin(angle)
    return np.exp(-(across**2) / (2 * sigma**2))


def by_loops(values: np.ndarray, angle: np.ndarray, radius: int, border: int) -> np.ndarray:
    height, width = values.shape
    left = np.zeros_like(values)
    for y in range(height):
        for x in range(width):
            steps = [d for d in range(-radius, radius + 1) if d]
            around = [at(values, y + d * math.sin(angle[y, x]), x + d * math.cos(angle[y, x])) for d in steps]
            if all(1.01 * values[y, x] >= value for value in around):
                edge = [min(border, length // 2) for length in (width, height)]
                edge = min(edge)
                fade = [min(1.0, min(p, n - 1 - p) / edge) if edge else 1.0 for p, n in ((x, width), (y, height))]
                left[y, x] = values[y, x] * fade[0] * fade[1]
    return left


def at(values: np.ndarray, y: float, x: float) -> float:
    height, width = values.shape
    y, x = min(max(y, 0), max(0, height - 1.001)), min(max(x, 0), max(0, width - 1.001))
    top, first = int(y), int(x)
    total = 0.0
    for row, share_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share_x in ((first, 1 - (x - first)), (first + 1, x - first)):
            total += share_y * share_x * values[min(row, height - 1), min(column, width - 1)]
    return total


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("shape", [(13, 17), (1, 9), (9, 1), (1, 1), (3, 4)])
def test_it_is_the_loop(radius: int, shape: tuple[int, int]) -> None:
    values = triangle_filter(np.random.default_rng(0).random(shape), 1)
    expected = by_loops(values, orientation(values), radius, 5)
    np.testing.assert_allclose(Suppression(radius)(values), expected, atol=1e-12)
    blurred = triangle_filter(values, 1)
    again = Suppression(radius)(blurred)
    np.testing.assert_array_equal(Suppression(radius, blur_px=1)(values), again)


@pytest.mark.parametrize("degrees", [3, 20, 45, 70, 88, 110, 135, 160, 177])
def test_orientation_is_that_of_the_toolbox_and_leaves_one_pixel(degrees: int) -> None:
    values = ridge(math.radians(degrees))
    # The quotient of the two second derivatives is the square of the tangent: right at multiples of 45 degrees.
    expected = math.degrees(math.atan(math.tan(math.radians(degrees)) ** 2))
    expected = expected if degrees < 90 else 180 - expected
    inside = np.pad(np.ones((21, 21), bool), 7)
    turned = (np.degrees(orientation(values)[inside & (values > 0.97)]) - expected + 90) % 180 - 90
    assert np.abs(turned).max() < 3
    kept = Suppression()(values)[6:-6, 6:-6] > 0.5
    lines = kept.sum(0 if abs(math.sin(math.radians(degrees))) > abs(math.cos(math.radians(degrees))) else 1)
    assert lines.min() >= 1
    assert lines.mean() < 1.6


def test_triangle_filter() -> None:
    impulse = np.zeros((15, 15))
    impulse[7, 7] = 25 * 25
    weights = np.array([0, 0, 0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 0, 0])
    np.testing.assert_allclose(triangle_filter(impulse, 4), np.outer(weights, weights), atol=1e-9)
    np.testing.assert_allclose(triangle_filter(np.full((2, 3), 0.7), 4), 0.7)


def test_values_fall_off_at_the_border() -> None:
    kept = Suppression()(np.full((20, 30), 0.5))
    np.testing.assert_allclose(kept[10, :7], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5])
    np.testing.assert_allclose(kept[10], kept[10, ::-1])
    np.testing.assert_allclose(kept[:, 15], kept[::-1, 15])
    assert kept[1, 1] == pytest.approx(0.5 * 0.2 * 0.2)
    assert (Suppression(border_px=0)(np.full((20, 30), 0.5)) == 0.5).all()
