import math
import re

import numpy as np
import pytest

from visionkit.reports.charts import bars, heat_map, line_chart, most_confused, nice_ticks, number, row_shares, thin


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.71234567, "0.7123"),
        (0.5, "0.5"),
        (62.8149, "62.81"),
        (1000, "1,000"),
        (123456.7, "123,457"),
        (-412, "−412"),
        (1e-3, "0.001"),
        (2.5e-5, "2.5e−05"),
        (3e12, "3e+12"),
        (math.nan, "undefined"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    "values", [[0, 1], [0.3, 0.31], [-5, 1e6], [7], [0], [1e-12, 2e-12], [3, 3, 3], [-1e-3, 1e-3], [1e30]]
)
def test_ticks_are_round_and_enclose_the_values(values):
    ticks = nice_ticks(values)
    room = 1e-6 * max(abs(tick) for tick in ticks)
    assert ticks[0] <= min(values) + room
    assert ticks[-1] >= max(values) - room
    assert 2 <= len(ticks) <= 8
    step = ticks[1] - ticks[0]
    assert step > 0
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 5)


def test_ticks_by_hand():
    assert nice_ticks([0, 1]) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert nice_ticks([3, 48]) == pytest.approx([0, 10, 20, 30, 40, 50])


def coordinates(svg):
    return [
        [tuple(map(float, point.split(","))) for point in points.split()]
        for points in re.findall(r'<polyline class="s\d" points="([^"]*)"', svg)
    ]


def test_a_line_runs_from_corner_to_corner():
    ((first, last),) = coordinates(line_chart("t", {"a": [(0, 0), (1, 1)]}))
    assert (first, last) == ((58.0, 216.0), (548.0, 12.0))


def test_a_value_that_is_not_finite_breaks_the_line():
    points = [(0, 1), (1, 2), (2, math.nan), (3, 1), (4, 2), (5, math.inf), (6, 1)]
    chart = line_chart("t", {"a": points})
    assert [len(line) for line in coordinates(chart)] == [2, 2]
    assert chart.count("<circle") == 1
    assert "nan" not in chart
    assert "inf" not in chart


@pytest.mark.parametrize("series", [{}, {"a": []}, {"a": [(0, math.nan)]}, {"a": [(math.nan, 1.0)]}])
def test_a_chart_of_nothing_says_so(series):
    assert "No finite values" in line_chart("t", series)


def test_names_may_have_colors_of_their_own():
    chart = line_chart("t", {"val": [(0, 0), (1, 1)]}, colors={"val": 4})
    assert '<polyline class="s4"' in chart
    assert 'class="key s4"' in chart


def test_long_series_are_thinned_to_means():
    points = [(float(i), float(i % 2)) for i in range(1000)]
    thinned = thin(points, most=250)
    assert len(thinned) == 250
    assert thinned[0] == (1.5, 0.5)
    assert thin(points[:7], most=7) == points[:7]
    assert math.isnan(thin([(0.0, math.nan), (1.0, 1.0)], most=1)[0][1])


def widths(html):
    return [float(width) for width in re.findall(r"width:([\d.]+)%", html)]


def test_bars_of_shares_are_measured_against_one():
    assert widths(bars("t", ["a", "b"], [0.25, 0.5])) == [25.0, 50.0]


def test_other_bars_are_measured_against_the_largest():
    assert widths(bars("t", ["a", "b", "c"], [50.0, 200.0, -100.0])) == [25.0, 100.0, 50.0]


def test_classes_that_do_not_occur_are_absent():
    html = bars("t", ["a", "b"], [math.nan, 0.5])
    assert html.count("absent</b>") == 1
    assert widths(html) == [50.0]
    assert "No class occurs" in bars("t", ["a"], [math.nan])
    assert "No class occurs" in bars("t", [], [])


def test_rows_become_shares():
    shares = row_shares(np.array([[1, 3], [0, 0]]))
    assert shares[0].tolist() == [0.25, 0.75]
    assert np.isnan(shares[1]).all()


def test_the_heat_map_shows_percent_of_each_truth():
    html = heat_map("t", np.array([[3, 1, 0], [0, 0, 0], [0, 996, 4]]), ["a", "b", "c"])
    assert re.findall(r'<td class="(\w+)[^"]*" style="--share:([\d.]+)" title="([^"]*)">(\d*)</td>', html) == [
        ("right", "0.750", "a → a: 75.0 %", "75"),
        ("wrong", "0.250", "a → b: 25.0 %", "25"),
        ("wrong", "0.000", "a → c: 0.0 %", ""),
        ("wrong", "0.000", "c → a: 0.0 %", ""),
        ("wrong", "0.996", "c → b: 99.6 %", "100"),
        ("right", "0.004", "c → c: 0.4 %", ""),
    ]
    assert html.count('colspan="3">absent') == 1


def test_the_most_confused_pairs_come_first():
    matrix = np.array([[50, 50, 0], [10, 90, 0], [0, 0, 0]])
    html = most_confused("t", matrix, ["a", "b", "c"], count=5)
    assert re.findall(r'title="([^"]*)"', html) == ["a → b", "b → a"]
    assert widths(html) == [50.0, 10.0]
    assert "Nothing is confused" in most_confused("t", np.eye(3), ["a", "b", "c"])
