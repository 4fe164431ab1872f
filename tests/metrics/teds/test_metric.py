"""TEDS over a dataset: means by kind, exact when reduced, and what is left out is counted."""

import logging

import pytest
import torch

from visionkit.metrics.teds import metric as module
from visionkit.metrics.teds.metric import Teds, teds_metrics
from visionkit.metrics.teds.teds import Limits, teds


def page(rows: str) -> str:
    return f"<html><body><table>{rows}</table></body></html>"


SIMPLE = page("<tr><td>a</td></tr>")
OTHER = page("<tr><td>b</td><td>c</td></tr>")
SPANNING = page('<tr><td colspan="2">a</td></tr>')


def test_means_by_kind() -> None:
    metric = Teds()
    metric.update([SIMPLE, OTHER, ""], [SIMPLE, SIMPLE, SIMPLE])
    metric.update([SIMPLE], [SPANNING])
    found = {name: float(value) for name, value in metric.compute().items()}
    assert set(found) == set(metric.figures)
    one, two = teds(OTHER, SIMPLE), teds(SIMPLE, SPANNING)
    assert found["teds_simple"] == pytest.approx((1 + one) / 3)
    assert found["teds_complex"] == found["teds_struct_complex"] == pytest.approx(two)
    assert found["teds"] == pytest.approx((1 + one + two) / 4)
    assert found["teds_struct"] == pytest.approx((1 + teds(OTHER, SIMPLE, structure_only=True) + two) / 4)
    assert found["tables_unscored"] == 0


def test_parts_add_up_to_the_whole() -> None:
    whole, parts = Teds(), [Teds(), Teds()]
    pairs = [(SIMPLE, SIMPLE), (OTHER, SIMPLE), (OTHER, SPANNING)]
    for index, (prediction, truth) in enumerate(pairs):
        whole.update([prediction], [truth])
        parts[index % 2].update([prediction], [truth])
    for name in ("sums", "counts", "unscored"):
        assert torch.equal(getattr(whole, name), sum(getattr(part, name) for part in parts))


def test_no_tables_have_no_figure() -> None:
    found = teds_metrics(None).compute()
    assert all(value.isnan() for name, value in found.items() if name != "tables_unscored")
    assert found["tables_unscored"] == 0


def test_what_is_left_out_is_counted_and_told(caplog) -> None:
    metric = Teds(limits=Limits(nodes=3))
    with caplog.at_level(logging.WARNING):
        metric.update([SIMPLE, OTHER], [SIMPLE, SIMPLE])
    assert "4 nodes, more than 3" in caplog.text
    assert metric.compute()["tables_unscored"] == 1
    assert metric.compute()["teds"] == 1
    metric.reset()
    assert metric.compute()["tables_unscored"] == 0


def test_scores_are_those_of_the_metric_and_computed_once(monkeypatch) -> None:
    calls, compute = [], module.scores
    monkeypatch.setattr(module, "scores", lambda *given: calls.append(given) or compute(*given))
    metric = Teds(ignore=["b"], limits=Limits(nodes=5))
    large = page("<tr>" + "<td>a</td>" * 9 + "</tr>")
    pages = [page("<tr><td><b>a</b></td></tr>"), large]
    metric.update(pages, [SIMPLE, large])
    bold, refused = metric.scores(pages, [SIMPLE, large])
    assert bold.teds == 1  # not so where b counts
    assert teds(pages[0], SIMPLE) < 1
    assert refused.refused
    assert len(calls) == 1
    assert metric.scores([OTHER], [SIMPLE])[0].teds == teds(OTHER, SIMPLE)
    assert len(calls) == 2
