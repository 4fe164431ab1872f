"""The metrics of edges over whole sets: sums over pictures and processes, prefixes, empty sets, mistakes."""

import numpy as np
import pytest
import torch
from torchmetrics.utilities.data import dim_zero_sum

from visionkit.errors import ConfigError
from visionkit.labels import Edges
from visionkit.metrics.edge_protocol import curve
from visionkit.metrics.edge_protocol.counting import eight_bits, threshold_counts
from visionkit.metrics.edge_protocol.crispness import crispness
from visionkit.metrics.edge_protocol.nms import Suppression
from visionkit.metrics.edges import AverageCrispness, EdgeBenchmark, picture_counts, picture_f, protocol, thin_edges


def pictures(seed: int = 0, count: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Rings of several widths, drawn by two or three people; sizes differ."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        height, width = 40 + 3 * index, 50 - 2 * index
        y, x = np.mgrid[:height, :width]
        away = np.abs(np.hypot(x - width / 2, y - height / 2) - 12 - index)
        drawn = np.stack([(away < 0.6) & (x > 10 * one) for one in range(2 + index % 2)])
        values = np.exp(-(away**2) / (2 + index)) * (0.4 + 0.2 * index) + 0.3 * rng.random((height, width))
        made.append((torch.from_numpy(np.clip(values, 0, 1)).float(), torch.from_numpy(drawn.astype(np.int8))))
    return made


def figures_of(metric, chosen) -> dict[str, torch.Tensor]:
    update(metric, chosen)
    return metric.compute()


def update(metric, chosen) -> None:
    for found, drawn in chosen:
        metric.update(found[None], drawn[None])


def test_figures_of_a_set() -> None:
    counts = []
    for found, drawn in pictures():
        ridges = Suppression()(found.double().numpy())
        known = np.ones(ridges.shape, bool)
        counts.append(threshold_counts(eight_bits(ridges), drawn.numpy() == 1, known, 0.0075, 19))
    got = figures_of(EdgeBenchmark(0.0075, 19), pictures())
    best = sum(one[curve.f_measure(one).argmax()] for one in counts)
    recall, precision = best[0] / best[1], best[2] / best[3]
    assert float(got["ods"]) == curve.best_f(sum(counts))
    assert float(got["ois"]) == pytest.approx(2 * recall * precision / (recall + precision))
    assert 0.5 < got["ods"] <= got["ois"] < 1
    np.testing.assert_allclose(got["precision_recall"][:, 0], np.arange(1, 20) / 20)
    np.testing.assert_allclose(got["precision_recall"][:, 1], sum(counts)[:, 0] / sum(counts)[:, 1])


def test_processes_are_put_together_by_sums() -> None:
    whole = protocol(Edges(), 19, crisp=True)
    expected = figures_of(whole, pictures())
    parts = [protocol(Edges(), 19, crisp=True) for _ in range(2)]
    update(parts[0], pictures()[:1])
    update(parts[1], pictures()[:0:-1])
    for name, metric in parts[0].items():
        for state, reduction in metric._reductions.items():
            assert reduction is dim_zero_sum
            setattr(metric, state, getattr(metric, state) + getattr(parts[1][name], state))
    for name, value in parts[0].compute().items():
        torch.testing.assert_close(value, expected[name], atol=1e-12, rtol=0)


def test_crisp_leaves_suppression_and_thinning_out() -> None:
    found, drawn = pictures()[1]
    whole = threshold_counts(
        eight_bits(found.double().numpy()), drawn.numpy() == 1, drawn.numpy()[0] >= 0, 0.0075, 19, False
    )
    assert (picture_counts(found, drawn, 0.0075, 19, None) == whole).all()
    got = figures_of(protocol(Edges(), 19, crisp=True), pictures())
    assert got["crisp_ods"] < got["ods"]
    assert {"crisp_ois", "crisp_ap", "crisp_r50", "crisp_precision_recall", "ac"} <= got.keys()


def test_average_crispness_is_a_mean_over_pictures() -> None:
    chosen = [*pictures(), (torch.zeros(9, 9), torch.zeros(1, 9, 9, dtype=torch.int8))]
    values = [crispness(found.double().numpy()) for found, _ in chosen[:-1]]
    assert float(figures_of(AverageCrispness(), chosen)["ac"]) == pytest.approx(np.mean(values))
    assert figures_of(AverageCrispness(), chosen[-1:])["ac"].isnan()


def test_unknown_places_count_for_nobody() -> None:
    found, drawn = pictures()[0]
    half = drawn.clone()
    half[:, :20] = -1
    counts = picture_counts(found, half, 0.0075, 19)
    far = found.clone()
    far[:10] = 1 - far[:10]
    assert counts[:, 1].tolist() == [int((half == 1).sum())] * 19
    assert (picture_counts(far, half, 0.0075, 19) == counts).all()
    one = drawn.clone()
    one[1, :20] = -1  # the other still knows
    assert (picture_counts(found, one, 0.0075, 19)[:, 3] == picture_counts(found, drawn, 0.0075, 19)[:, 3]).all()
    nobody = torch.full_like(drawn, -1)
    assert not picture_counts(found, nobody, 0.0075, 19).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (16, 20)])
@pytest.mark.parametrize("annotators", [1, 3])
@pytest.mark.parametrize(("found", "drawn", "expected"), [(0, 0, 1.0), (1, 0, 0.0), (0, 1, 0.0)])
def test_nothing_found_or_nothing_drawn(size, annotators, found, drawn, expected) -> None:
    values, edges = torch.full(size, float(found)), torch.full((annotators, *size), drawn, dtype=torch.int8)
    assert picture_f(values, edges, 0.0075) == expected
    got = figures_of(EdgeBenchmark(0.0075, 9), [(values, edges)])
    assert [float(got[name]) for name in ("ods", "ois", "ap", "r50")] == [expected] * 4


def test_a_set_without_pictures_is_defined() -> None:
    metric = EdgeBenchmark(0.0075, 9)
    metric.update(torch.zeros(0, 5, 5), torch.zeros(0, 2, 5, 5, dtype=torch.int8))
    assert float(metric.compute()["ods"]) == 1.0


def test_a_row_of_pixels_is_matched_to_itself() -> None:
    row = torch.zeros(1, 40)
    row[0, 8:12] = 0.9
    assert picture_f(row, (row > 0)[None].to(torch.int8), 0.0075) == 1.0


def test_what_is_no_number_counts_and_is_drawn_as_no_edge() -> None:
    found, drawn = pictures()[0]
    broken, zero = found.clone(), found.clone()
    broken[5:9], zero[5:9] = torch.nan, 0.0
    assert (picture_counts(broken, drawn, 0.0075, 9) == picture_counts(zero, drawn, 0.0075, 9)).all()
    assert (thin_edges(broken, 0.5) == thin_edges(zero, 0.5)).all()


@pytest.mark.parametrize("pixels", [slice(None), slice(5, 6)])
@pytest.mark.parametrize("drawn", [0, 1])
def test_what_is_no_number_makes_every_figure_no_number(pixels, drawn) -> None:
    broken = torch.zeros(16, 20)
    broken[pixels] = torch.nan
    chosen = [*pictures(), (broken, torch.full((1, 16, 20), drawn, dtype=torch.int8))]
    metrics = protocol(Edges(), 9, crisp=True)
    for name, value in figures_of(metrics, chosen).items():
        if name.endswith("precision_recall"):
            np.testing.assert_allclose(value[:, 0], np.arange(1, 10) / 10)
            value = value[:, 1:]
        assert value.isnan().all(), name
    metrics.reset()
    assert all(value.isfinite().all() for value in figures_of(metrics, pictures()).values())
    assert np.isnan(picture_f(*chosen[-1], 0.0075))


def test_thin_edges_are_what_is_counted() -> None:
    found, drawn = pictures()[2]
    lines = thin_edges((found * 255).round() / 255, 0.5)
    assert lines.sum() == picture_counts((found * 255).round() / 255, drawn, 0.0075, 1)[0, 3]


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        protocol(Edges(), thresholds=0)
    assert caught.value.code == "C150"
