"""TEDS: against the textbook definition, published values, and pages that want to break it."""

import itertools
import json
import math
import time
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest

from visionkit.datasets.synthetic_tables import SyntheticTables
from visionkit.metrics.teds.teds import Limits, Score, score, scores, teds
from visionkit.text.table_html import table_html


def page(rows: str) -> str:
    return f"<html><body><table>{rows}</table></body></html>"


def levenshtein(first, second) -> int:
    line = list(range(len(second) + 1))
    for i, left in enumerate(first):
        above, line[0] = line[0], i + 1
        for j, right in enumerate(second):
            above, line[j + 1] = line[j + 1], min(line[j + 1] + 1, line[j] + 1, above + (left != right))
    return line[-1]


def node(element):
    """(label, content, children) of well-formed HTML."""
    if element.tag != "td":
        return (element.tag, ()), None, tuple(node(child) for child in element)

    def tokens(inner):
        yield from inner.text or ""
        for child in inner:
            yield f"<{child.tag}>"
            yield from tokens(child)
            yield f"</{child.tag}>"
            yield from child.tail or ""

    spans = tuple(element.get(name, "1") for name in ("colspan", "rowspan"))
    return ("td", spans), tuple(tokens(element)), ()


@cache
def forest(first, second, struct):
    """The recursive definition of the distance of two forests, roots compared from the right."""
    if not first or not second:
        return sum(1 + forest(tree[2], (), struct) for tree in (*first, *second))
    (label, content, below), (label_2, content_2, below_2) = first[-1], second[-1]
    rename = float(label != label_2)
    if not rename and not struct and (content or content_2):
        rename = levenshtein(content, content_2) / max(len(content), len(content_2))
    return min(
        forest(first[:-1] + below, second, struct) + 1,
        forest(first, second[:-1] + below_2, struct) + 1,
        forest(below, below_2, struct) + forest(first[:-1], second[:-1], struct) + rename,
    )


def by_definition(prediction: str, truth: str, struct: bool = False) -> float:
    tables = [ElementTree.fromstring(text).find("body/table") for text in (prediction, truth)]
    nodes = max(sum(1 for _ in table.iter()) - 1 for table in tables)
    return 1 - forest((node(tables[0]),), (node(tables[1]),), struct) / nodes


def test_by_definition_on_small_tables() -> None:
    tables = SyntheticTables("val", rows=(1, 2), columns=(1, 3), spans=0.6, length=100)
    pages = [table_html(tables[index]["table"]) for index in range(24)]
    for first, second in itertools.pairwise(pages):
        for struct in (False, True):
            assert teds(first, second, struct) == pytest.approx(by_definition(first, second, struct), abs=1e-12)


@pytest.mark.parametrize(
    ("prediction", "truth", "value", "struct"),
    [
        # of 3 nodes one td is renamed, at half its content
        ("<tr><td>ab</td><td>c</td></tr>", "<tr><td>a</td><td>c</td></tr>", 1 - 0.5 / 3, 1.0),
        # a tag within a cell is a node and two tokens of the content
        ("<tr><td><b>a</b></td></tr>", "<tr><td>a</td></tr>", 1 - (2 / 3) / 3, 1.0),
        ("<tr><td>a</td></tr>", '<tr><td colspan="2">a</td></tr>', 0.5, 0.5),
        ("<tr><td></td></tr>", "<tr><td></td><td></td></tr>", 1 - 1 / 3, 1 - 1 / 3),
        # the content of th does not count
        ("<tr><th>a</th></tr>", "<tr><th>b</th></tr>", 1.0, 1.0),
        ("<tr><td> a</td></tr>", "<tr><td>a</td></tr>", 0.75, 1.0),
        ("<tr><td>a</td></tr>", "<tr><td>A</td></tr>", 0.5, 1.0),
        ("", "<tr><td>a</td></tr>", 0.0, 0.0),
        ("", "", 1.0, 1.0),
        ("<tr><td>&lt;1 &amp;</td></tr>", "<tr><td><1 &</td></tr>", 1.0, 1.0),
        # renaming costs 1 where deletion and insertion would cost 2
        ("<tbody></tbody>", "<thead></thead>", 0.0, 0.0),
    ],
)
def test_values_by_hand(prediction, truth, value, struct) -> None:
    found = score(page(prediction), page(truth))
    assert found[:2] == pytest.approx((value, struct), abs=1e-15)


def test_it_can_be_negative() -> None:
    """A chain and a star have little in common: 1 renamed, 3 deleted, 3 inserted, of 4 nodes."""
    chain, star = page("<caption><b><i><u></u></i></b></caption>"), page("<tr></tr>" * 4)
    assert teds(chain, star) == by_definition(chain, star) == -0.75


@pytest.mark.parametrize("nothing", ["", " ", "text", "<html></html>", "<html><body>no table</body></html>", "\0", "<"])
def test_nothing_is_worth_nothing(nothing) -> None:
    truth = page("<tr><td>a</td></tr>")
    assert teds(nothing, truth) == teds(truth, nothing) == teds(nothing, nothing) == 0.0


def test_only_a_whole_page_counts_and_of_it_the_first_table() -> None:
    truth = page("<tr><td>a</td></tr>")
    assert teds("<table><tr><td>a</td></tr></table>", truth) == 0.0
    assert teds("<html><body><div><table><tr><td>a</td></tr></table></div></body></html>", truth) == 0.0
    assert teds(truth.replace("</body>", "<table><tr><td>b</td></tr></table></body>"), truth) == 1.0
    assert teds(truth.replace("<body>", "<!-- c --><body>\n"), truth) == 1.0


def test_tags_can_be_ignored() -> None:
    first, second = page("<tr><td><b>a</b>c</td></tr>"), page("<tr><td>ac</td></tr>")
    assert teds(first, second) == 1 - 0.5 / 3
    assert teds(first, second, ignore=["b"]) == 1.0


def test_it_is_symmetric_and_falls_with_every_damage() -> None:
    tables = SyntheticTables("val", length=40)
    rng = np.random.default_rng(0)
    for index in range(12):
        truth = table_html(tables[index]["table"])
        other = table_html(tables[index + 20]["table"])
        assert teds(truth, other) == pytest.approx(teds(other, truth), abs=1e-12)
        assert teds(truth, truth) == 1.0
        at = int(rng.choice([place for place in range(30, len(truth) - 30) if truth[place].isdigit()]))
        assert teds(truth[:at] + "?" + truth[at + 1 :], truth) < 1


HOSTILE = {
    "nested": "<html><body><table>" + "<tr><td>" * 100_000,
    "nested tags": page("<tr><td>" + "<b>" * 100_000 + "x"),
    "nested tables": page("<tr><td><table>" * 5000),
    "span": page('<tr><td colspan="999999999" rowspan="999999999">a</td></tr>'),
    "span of many digits": page(f'<tr><td colspan="{"9" * 10_000}">a</td></tr>'),
    "span of no digits": page('<tr><td colspan="x" rowspan="">a</td></tr>'),
    "unescaped": page("<tr><td>a < b <5 <c</td></tr>"),
    "60 columns": page("<tr>" + "<td>1</td>" * 60 + "</tr>"),
    "unclosed": "<html><body><table><tr><td>a<td>b<tr><td>c",
    "attributes": page("<tr><td " + "a='b' " * 10_000 + ">x</td></tr>"),
    "surrogate": page("<tr><td>\ud800</td></tr>"),
    "bytes": page("<tr><td>\0\x01\x7f\ufffe</td></tr>"),
    "kinds of tags": page("<tr><td>" + "".join(f"<x{number}></x{number}>" for number in range(3000)) + "</td></tr>"),
    "instruction": page("<?php a ?><tr><td>b<?php c ?></td></tr>"),
    "a long cell": page(f"<tr><td>{'ab' * 2_000_000}</td></tr>"),
    "many cells": page("<tr><td>1</td></tr>" * 20_000),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pages_neither_break_it_nor_take_long(kind) -> None:
    start = time.monotonic()
    truth = page("<tr><td>a</td><td>b</td></tr>")
    for pair in ((HOSTILE[kind], truth), (truth, HOSTILE[kind]), (HOSTILE[kind], HOSTILE[kind] + "x")):
        found = score(*pair)
        assert bool(found.refused) == math.isnan(found.teds) == math.isnan(found.struct)
        assert found.refused or -1 < found.struct <= 1
    assert time.monotonic() - start < 60


def test_limits_refuse_and_never_change_a_score() -> None:
    small, large = page("<tr><td>a</td></tr>"), page("<tr><td>a</td></tr>" * 300)
    assert score(small, small, limits=Limits(nodes=3)) == Score(1.0, 1.0)
    refused = score(large, small, limits=Limits(nodes=600))
    assert math.isnan(refused.teds)
    assert refused.refused == "a tree has 601 nodes, more than 600"
    assert math.isnan(teds(large, small, limits=Limits(nodes=600)))
    assert "s, more than 1e-05" in score(large, small, limits=Limits(seconds=1e-5)).refused
    assert score(large, small, limits=Limits(nodes=601)) == score(large, small)
    long = page(f"<tr><td>{'a' * 10**6}</td></tr>")
    assert "more than 60" in score(long, long.replace("aaa", "b", 1)).refused


def test_complex_tables_are_those_that_truly_span() -> None:
    simple, spanning = page("<tr><td>a</td></tr>"), page('<tr><td rowspan="2">a</td></tr>')
    assert [score(*pair).complex for pair in ((simple, spanning), (spanning, simple), ("", spanning))] == [
        True,
        False,
        True,
    ]


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    tables = SyntheticTables("val", length=40)
    pages = [table_html(tables[index]["table"]) for index in range(40)]
    alone = scores(pages, pages[::-1])
    assert scores(pages, pages[::-1], workers=2) == alone
    assert len({result.teds for result in alone}) > 15
    with pytest.raises(ValueError, match="40 predictions of 39"):
        scores(pages, pages[1:])


@pytest.mark.realdata
def test_values_of_the_published_metric(real_data) -> None:
    cases = json.loads((real_data / "pubtabnet" / "teds_reference.json").read_text())
    assert len(cases) == 28
    for case in cases:
        found = score(case["pred"], case["true"])
        assert found[:2] == pytest.approx((case["teds"], case["teds_struct"]), abs=1e-12)
        assert case["type"] not in ("simple", "complex") or found.complex == (case["type"] == "complex")
