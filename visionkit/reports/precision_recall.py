"""The curve of precision over recall among the lines of equal F, as the Berkeley benchmark draws it."""

from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float64

from visionkit.reports.charts import card, number

_SIDE, _LEFT, _TOP, _BOTTOM = 360, 46, 10, 36
_ISO_F = tuple(level / 10 for level in range(1, 10))
_ISO_POINTS = 40


def precision_recall(title: str, curve: Float64[np.ndarray, "t 3"]) -> str:
    """Precision over recall with its best point and lines of equal F, 0.1 to 0.9.

    Args:
        title: of the chart.
        curve: threshold, recall and precision; where nothing is matched there is no point.
    """
    shown = curve[np.isfinite(curve).all(axis=1) & (curve[:, 1] > 0)] if curve.size else curve
    width, height = _LEFT + _SIDE + 34, _TOP + _SIDE + _BOTTOM
    svg = (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f'<g class="axes">{_axes()}{"".join(map(_iso_line, _ISO_F))}</g>{_line(shown)}</svg>'
    )
    return card(title, svg + f'<p class="legend">{_legend(shown)}</p>')


def _f(recall: Float64[np.ndarray, " t"], precision: Float64[np.ndarray, " t"]) -> Float64[np.ndarray, " t"]:
    return 2 * recall * precision / np.maximum(recall + precision, 1e-12)


def _best(shown: Float64[np.ndarray, "t 3"]) -> int:
    return int(_f(shown[:, 1], shown[:, 2]).argmax())


def _place(recall: float, precision: float) -> str:
    return f"{_LEFT + recall * _SIDE:.1f},{_TOP + (1 - precision) * _SIDE:.1f}"


def _polyline(kind: str, recall: Sequence[float] | np.ndarray, precision: Sequence[float] | np.ndarray) -> str:
    points = " ".join(_place(float(r), float(p)) for r, p in zip(recall, precision, strict=True))
    return f'<polyline class="{kind}" points="{points}"/>'


def _iso_line(level: float) -> str:
    """Places with F = ``level``: from precision 1 to recall 1, denser where the line bends."""
    middle = np.linspace(level / (2 - level), level, _ISO_POINTS // 2)
    outer = level * middle / (2 * middle - level)
    recall, precision = np.concatenate([middle, outer[::-1]]), np.concatenate([outer, middle[::-1]])
    x, y = _place(1, level / (2 - level)).split(",")
    label = f'<text x="{float(x) + 6:.1f}" y="{float(y) + 4:.1f}">{level:g}</text>'
    return _polyline("grid", recall, precision) + label


def _axes() -> str:
    bottom = _TOP + _SIDE
    frame = f'<rect class="grid" x="{_LEFT}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none"/>'
    ticks = "".join(
        f'<text x="{_LEFT - 7}" y="{bottom - step * _SIDE + 4:.1f}" text-anchor="end">{step:g}</text>'
        f'<text x="{_LEFT + step * _SIDE:.1f}" y="{bottom + 17}" text-anchor="middle">{step:g}</text>'
        for step in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    across = f'<text x="{_LEFT + _SIDE / 2:.0f}" y="{bottom + 32}" text-anchor="middle">recall</text>'
    middle = _TOP + _SIDE / 2
    turned = f'transform="rotate(-90 12 {middle:.0f})"'
    return frame + ticks + across + f'<text x="12" y="{middle:.0f}" text-anchor="middle" {turned}>precision</text>'


def _line(shown: Float64[np.ndarray, "t 3"]) -> str:
    if not len(shown):
        return ""
    x, y = _place(*shown[_best(shown), 1:]).split(",")
    best = f'<circle class="s0" cx="{x}" cy="{y}" r="4.5"/>'
    return f'<g class="lines">{_polyline("s0", shown[:, 1], shown[:, 2])}{best}</g>'


def _legend(shown: Float64[np.ndarray, "t 3"]) -> str:
    if not len(shown):
        return "Nothing is matched at any threshold."
    threshold, recall, precision = shown[_best(shown)]
    best = float(_f(shown[:, 1], shown[:, 2]).max())
    words = f"at {number(threshold)}, recall {number(recall)}, precision {number(precision)}"
    return f'<span class="key s0">best F <b>{number(best)}</b> {words}</span><span>Thin lines: equal F.</span>'
