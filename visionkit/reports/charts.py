"""Charts as HTML and SVG text: no script, no font, no file beside them; colours come from the page's style."""

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

Point = tuple[float, float]
_WIDTH, _HEIGHT = 560, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 34
_MOST_POINTS = 300
_COLORS = 6


def number(value: float) -> str:
    """A figure in at most four significant digits; "undefined" where it is NaN."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value != 0 and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}".replace("-", "−")
    digits = 0 if value == 0 else max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def line_chart(
    title: str, series: Mapping[str, Sequence[Point]], x_label: str = "step", colors: Mapping[str, int] | None = None
) -> str:
    """Lines over a shared axis; points that are not finite break a line, and a chart without points says so.

    ``colors`` gives a name the same colour (0..5) in every chart; other names take them in turn.
    """
    finite = [p for points in series.values() for p in points if math.isfinite(p[0]) and math.isfinite(p[1])]
    if not finite:
        return card(title, '<p class="empty">No finite values to show.</p>')
    x_ticks, y_ticks = nice_ticks([x for x, _ in finite]), nice_ticks([y for _, y in finite])
    place = _Place(x_ticks, y_ticks)
    shades = {name: (colors or {}).get(name, turn % _COLORS) for turn, name in enumerate(series)}
    lines = "".join(_line(name, points, place, shades[name]) for name, points in series.items())
    legend = "".join(
        f'<span class="key s{shades[name]}">{escape(name)} <b>{_last(points)}</b></span>'
        for name, points in series.items()
    )
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'{_axes(x_ticks, y_ticks, place, x_label)}<g class="lines">{lines}</g></svg>'
    )
    return card(title, f'{svg}<p class="legend">{legend}</p>')


def bars(title: str, names: Sequence[str], values: Sequence[float]) -> str:
    """One horizontal bar for each class; a class that does not occur (NaN) is called absent."""
    finite = [abs(value) for value in values if math.isfinite(value)]
    if not finite:
        return card(title, '<p class="empty">No class occurs.</p>')
    top = 1.0 if max(finite) <= 1 else max(finite)
    rows = "".join(_bar(name, value, top) for name, value in zip(names, values, strict=True))
    return card(title, f'<ol class="bars">{rows}</ol>')


def heat_map(title: str, matrix: np.ndarray, names: Sequence[str]) -> str:
    """A confusion matrix (rows truth, columns prediction), each row divided by its sum."""
    shares = row_shares(matrix)
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    rows = "".join(_heat_row(i, name, shares[i], names) for i, name in enumerate(names))
    table = (
        f'<div class="scroll"><table class="heat"><thead><tr><th class="corner">truth ↓ &ensp; prediction →</th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
    return card(title, table + '<p class="note">Percent of each true class; 0 is left blank.</p>', wide=True)


def most_confused(title: str, matrix: np.ndarray, names: Sequence[str], count: int = 20) -> str:
    """The largest shares off the diagonal, for matrices that are too large to look at."""
    shares = np.nan_to_num(row_shares(matrix))
    np.fill_diagonal(shares, 0.0)
    order = np.argsort(-shares, axis=None, kind="stable")[:count]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, shares.shape), strict=True) if shares[i, j] > 0]
    if not pairs:
        return card(title, '<p class="empty">Nothing is confused.</p>')
    rows = "".join(_bar(f"{names[i]} → {names[j]}", float(shares[i, j]), 1.0) for i, j in pairs)
    note = '<p class="note">Share of the true class (left) that was taken for another (right).</p>'
    return card(title, f'<ol class="bars">{rows}</ol>{note}')


def row_shares(matrix: np.ndarray) -> np.ndarray:
    """Rows divided by their sums, float64; NaN in the row of a class that does not occur."""
    matrix = np.asarray(matrix, dtype=np.float64)
    sums = matrix.sum(axis=1, keepdims=True)
    return np.divide(matrix, sums, out=np.full_like(matrix, np.nan), where=sums > 0)


def nice_ticks(values: Sequence[float], most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from below the least value to above the greatest."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        room = max(abs(low) * 0.1, 1e-9) if low else 1.0
        low, high = low - room, high + room
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def thin(points: Sequence[Point], most: int = _MOST_POINTS) -> list[Point]:
    """At most ``most`` points: means of equally many neighbours; NaN or infinity in a group makes it so."""
    size = math.ceil(len(points) / most)
    if size <= 1:
        return list(points)
    groups = [np.asarray(points[i : i + size], dtype=np.float64) for i in range(0, len(points), size)]
    return [(float(group[:, 0].mean()), float(group[:, 1].mean())) for group in groups]


class _Place:
    """From values to coordinates of the drawing."""

    def __init__(self, x_ticks: list[float], y_ticks: list[float]) -> None:
        self.x_span, self.y_span = (x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1])

    def x(self, value: float) -> float:
        low, high = self.x_span
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_span
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def _line(name: str, points: Sequence[Point], place: _Place, color: int) -> str:
    parts, current = [], list[str]()
    for x, y in [*thin(points), (math.nan, math.nan)]:
        if math.isfinite(x) and math.isfinite(y):
            current.append(f"{place.x(x):.1f},{place.y(y):.1f}")
        elif current:
            parts.append(current)
            current = []
    drawn = "".join(_stroke(part, color) for part in parts)
    return f"<g><title>{escape(name)}</title>{drawn}</g>"


def _stroke(part: list[str], color: int) -> str:
    if len(part) == 1:
        x, y = part[0].split(",")
        return f'<circle class="s{color}" cx="{x}" cy="{y}" r="3.5"/>'
    return f'<polyline class="s{color}" points="{" ".join(part)}"/>'


def _last(points: Sequence[Point]) -> str:
    return number(points[-1][1]) if points else ""


def _axes(x_ticks: list[float], y_ticks: list[float], place: _Place, x_label: str) -> str:
    bottom = _HEIGHT - _BOTTOM
    across = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{place.y(y):.1f}" y2="{place.y(y):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{place.y(y) + 4:.1f}" text-anchor="end">{number(y)}</text>'
        for y in y_ticks
    )
    along = "".join(
        f'<text x="{place.x(x):.1f}" y="{bottom + 17}" text-anchor="middle">{number(x)}</text>' for x in x_ticks[:-1]
    )
    label = f'<text x="{_WIDTH - _RIGHT}" y="{bottom + 17}" text-anchor="end">{escape(x_label)}</text>'
    return f'<g class="axes">{across}{along}{label}</g>'


def _bar(name: str, value: float, top: float) -> str:
    if not math.isfinite(value):
        shown = "absent" if math.isnan(value) else number(value)
        return f'<li class="absent"><span>{escape(name)}</span><i></i><b>{shown}</b></li>'
    width = 100 * min(abs(value) / top, 1.0)
    return (
        f'<li><span title="{escape(name)}">{escape(name)}</span>'
        f'<i><u style="width:{width:.1f}%"></u></i><b>{number(value)}</b></li>'
    )


def _heat_row(index: int, name: str, shares: np.ndarray, names: Sequence[str]) -> str:
    if np.isnan(shares).all():
        cells = f'<td class="none" colspan="{len(names)}">absent</td>'
    else:
        cells = "".join(_heat_cell(name, names[j], float(share), index == j) for j, share in enumerate(shares))
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'


def _heat_cell(truth: str, prediction: str, share: float, right: bool) -> str:
    kind = "right" if right else "wrong"
    strong = " strong" if share > 0.55 else ""
    percent = round(100 * share)
    hint = f"{escape(truth)} → {escape(prediction)}: {100 * share:.1f} %"
    text = str(percent) if percent else ""
    return f'<td class="{kind}{strong}" style="--share:{share:.3f}" title="{hint}">{text}</td>'


def card(title: str, content: str, wide: bool = False) -> str:
    """A chart in its frame, under its title."""
    kind = "card wide" if wide else "card"
    return f'<figure class="{kind}"><figcaption>{escape(title)}</figcaption>{content}</figure>'
