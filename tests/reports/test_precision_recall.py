"""What the curve's picture shows, read back from its coordinates."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from visionkit.reports.precision_recall import precision_recall

CURVE = np.array([[0.25, 0.9, 0.4], [0.5, 0.7, 0.8], [0.75, 0.2, 0.95], [0.9, 0.0, 0.0]])


def parts(text: str) -> tuple[dict[str, list[np.ndarray]], ET.Element]:
    """Polylines by class as recall and precision, from the frame's own size."""
    tree = ET.fromstring(re.search(r"<svg.*</svg>", text)[0])
    frame = tree.find(".//rect")
    left, top, side = (float(frame.get(name)) for name in ("x", "y", "width"))
    lines: dict[str, list[np.ndarray]] = {}
    for line in tree.iter("polyline"):
        points = np.array([list(map(float, point.split(","))) for point in line.get("points").split()])
        points = np.stack([(points[:, 0] - left) / side, 1 - (points[:, 1] - top) / side], 1)
        lines.setdefault(line.get("class"), []).append(points)
    return lines, tree


def test_the_curve_and_its_best_point() -> None:
    text = precision_recall("edges", CURVE)
    lines, tree = parts(text)
    np.testing.assert_allclose(lines["s0"][0], CURVE[:3, 1:], atol=1e-3)
    circle, curve = tree.find(".//circle"), tree.findall(".//polyline")[-1].get("points").split()
    assert f"{circle.get('cx')},{circle.get('cy')}" == curve[1]
    assert "0.7467" in text  # 2 * 0.7 * 0.8 / 1.5
    assert "at 0.5, recall 0.7, precision 0.8" in text


def test_lines_of_equal_f() -> None:
    lines, _ = parts(precision_recall("edges", CURVE))
    assert len(lines["grid"]) == 9
    for level, points in zip(np.arange(1, 10) / 10, lines["grid"], strict=True):
        np.testing.assert_allclose(2 * points.prod(1) / points.sum(1), level, atol=3e-3)
        np.testing.assert_allclose(points[[0, -1], [1, 0]], 1, atol=1e-3)
        assert points.max() <= 1 + 1e-3


@pytest.mark.parametrize("curve", [np.zeros((3, 3)), np.zeros((0, 3)), np.full((2, 3), np.nan)])
def test_where_nothing_is_matched(curve: np.ndarray) -> None:
    text = precision_recall("<edges>", curve)
    assert "s0" not in parts(text)[0]
    assert "Nothing is matched" in text
    assert "<edges>" not in text
