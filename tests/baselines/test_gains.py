from functools import partial

import pytest
import torch

from visionkit.baselines.gains import Gain, figures, gains
from visionkit.baselines.trivial import MeanCount
from visionkit.callbacks.summary import gains_table
from visionkit.datasets.collate import collate
from visionkit.decoders.density import Density
from visionkit.decoders.fpn import FPN
from visionkit.labels import Objects
from visionkit.losses.density import SquaredDensity
from visionkit.reports.page import build_page
from visionkit.tasks.counting import Counting


def task() -> Counting:
    return Counting(
        partial(Density, width=4, path=partial(FPN, width=8, stride=4)),
        {"density": SquaredDensity()},
        (4, 8),
        (4, 8),
        2,
        Objects(),
    )


def samples(*counts: int):
    image = torch.zeros(3, 16, 16, dtype=torch.uint8)
    return [{"key": str(i), "image": image, "points": torch.full((n, 2), 8.0)} for i, n in enumerate(counts)]


def test_a_baseline_has_the_metrics_of_its_task() -> None:
    counting = task()
    counting.metrics.update(torch.ones(16, 16), torch.zeros(0, 2))
    found = figures(counting, MeanCount(), samples(1, 3), samples(0, 5), collate)
    assert float(found["mae"]) == pytest.approx((2 + 3) / 2, rel=1e-5)


def test_the_network_stands_beside_it() -> None:
    split = {"train": samples(1, 3), "test": samples(0, 5)}
    results = {"counting": {"mae": torch.tensor(1.0)}, "edges": {}}
    (gain,) = gains({"counting": task()}, {"counting": MeanCount(), "edges": MeanCount()}, results, split.get, "test",
                    collate)  # fmt: skip
    assert (gain.task, gain.metric, gain.mode, gain.baseline) == (
        "counting",
        "mae",
        "min",
        "The mean count of training",
    )
    assert gain.without == pytest.approx(2.5, rel=1e-5)
    assert gain.better
    assert gain.text() == "+1.5"


@pytest.mark.parametrize(("mode", "figure", "better"), [("max", 0.6, True), ("max", 0.4, False), ("min", 0.4, True)])
def test_better_follows_the_metric(mode, figure, better) -> None:
    gain = Gain("a", "x", mode, "nothing", 0.5, figure)
    assert gain.better is better
    assert gain.text() == f"{0.1 if better else -0.1:+.3g}"


def test_an_undefined_figure_is_called_so() -> None:
    gain = Gain("a", "x", "max", "nothing", float("nan"), 0.5)
    assert not gain.better
    assert gain.text() == "undefined"


def test_page_and_table_show_them() -> None:
    shown = [Gain("edges", "ods", "max", "Canny <i>", 0.25, 0.5)]
    page = build_page("t", {}, {}, {}, [], {}, "test", {}, shown)
    assert "Against baselines" in page
    assert "Canny &lt;i&gt;" in page
    assert "+0.25" in page
    assert gains_table(shown).row_count == 1
