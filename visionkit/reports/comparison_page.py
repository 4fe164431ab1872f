"""The page of a comparison: the table of the runs, and each metric against the time of a step."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from pathlib import Path

from visionkit.reports.charts import line_chart

_STYLE = Path(__file__).with_name("style.css")
_FRONT = "best trade-offs"

Points = Sequence[tuple[str, float, float]]
"""Name, cost (the less the better), figure (the more the better)."""


def comparison_page(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    best: Collection[tuple[int, int]],
    notes: Sequence[str],
    trades: Mapping[str, Points],
) -> str:
    """A self-contained page; every text is escaped.

    Args:
        titles: of the columns.
        rows: texts of the cells.
        best: places (row, column) in bold.
        notes: lines below the table.
        trades: for each metric the runs with the time of a step in ms and the figure.
    """
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(
        "<tr>" + "".join(_cell(cell, (row, place) in best) for place, cell in enumerate(cells)) + "</tr>"
        for row, cells in enumerate(rows)
    )
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes if note)
    charts = "".join(trade_off(name, points) for name, points in trades.items() if points)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Comparison</title><style>{_STYLE.read_text(encoding='utf-8')}</style></head><body>"
        f'<header><div><p class="kind">{len(rows)} runs</p><h1>Comparison</h1></div></header><main>'
        f'<section><h2>Runs</h2><div class="cards one"><div class="card scroll"><table class="metrics lead">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{listed}</ul></div></div></section>"
        f'<section><h2>Quality against time</h2><div class="cards">{charts}</div></section>'
        "</main><footer>Written by visionkit.</footer></body></html>\n"
    )


def trade_off(name: str, points: Points) -> str:
    """One point for each run, and a line through those that no other run beats in both."""
    series = {run: [(cost, figure)] for run, cost, figure in points}
    return line_chart(name, {_FRONT: front(points), **series}, "ms a step")


def front(points: Points) -> list[tuple[float, float]]:
    """Costs and figures of the runs that no other run beats in both, the cheapest first (Pareto)."""
    kept: list[tuple[float, float]] = []
    for _, cost, figure in sorted(points, key=lambda point: (point[1], -point[2])):
        if not kept or figure > kept[-1][1]:
            kept.append((cost, figure))
    return kept


def _cell(text: str, strong: bool) -> str:
    return f"<td>{f'<b>{escape(text)}</b>' if strong else escape(text)}</td>"
