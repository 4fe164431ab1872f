import torch

from visionkit.baselines.trivial import CannyEdges, EmptyTable, MajorityClass, MeanCount, MostFrequentText, carrying
from visionkit.metrics.teds.teds import teds
from visionkit.text.batches import from_code_points

IMAGE = torch.zeros(3, 4, 6, dtype=torch.uint8)


def test_the_mean_count_is_spread_over_every_picture() -> None:
    baseline = MeanCount()
    outside = torch.tensor([[7.0, 1.0], [1.0, -1.0]])
    baseline.fit([{"image": IMAGE, "points": torch.cat([torch.zeros(n, 2), outside])} for n in (1, 4, 10)])
    density = baseline.predict({"image": IMAGE})["density"]
    assert density.shape == (1, 4, 6)
    torch.testing.assert_close(density.sum(), torch.tensor(5.0))


def test_the_majority_is_that_of_the_known_pixels() -> None:
    baseline = MajorityClass()
    baseline.fit([{"mask": torch.tensor([[-1, -1, -1, 2]])}, {"mask": torch.tensor([[2, 1, 0, -1]])}])
    mask = baseline.predict({"image": IMAGE})["mask"]
    assert mask.tolist() == torch.full((1, 4, 6), 2).tolist()


def test_canny_finds_the_border_of_a_square() -> None:
    image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    image[:, 8:24, 8:24] = 255
    edges = CannyEdges().predict({"image": image})["edges"]
    assert edges.shape == (1, 32, 32)
    assert float(edges[0, 8, 12:20].max()) > 0.5 > float(edges[0, 14:18, 14:18].max())


def test_an_empty_table_is_a_table_that_scores_nothing() -> None:
    (html,) = from_code_points(EmptyTable().predict({"image": IMAGE})["table"])
    truth = "<html><body><table><tr><td>a</td></tr></table></body></html>"
    assert teds(html, html) == 1.0
    assert teds(html, truth) == 0.0


def test_the_most_frequent_text_is_said_of_every_line() -> None:
    baseline = MostFrequentText()
    baseline.fit([{"text": text} for text in ("b", "a", "b", "a", "c")])
    assert from_code_points(baseline.predict({"image": IMAGE})["text"]) == ["a"]


def test_nothing_to_learn_from_is_no_error() -> None:
    for baseline in (MeanCount(), MajorityClass(), CannyEdges(), EmptyTable(), MostFrequentText()):
        baseline.fit([])
        assert baseline.predict({"image": IMAGE})


def test_only_what_carries_the_target_counts() -> None:
    samples = [{"text": "a"}, {"mask": torch.zeros(1, 1)}, {"text": "b"}, {"text": "c"}]
    assert [sample["text"] for sample in carrying("text", samples)] == ["a", "b", "c"]
    assert [sample["text"] for sample in carrying("text", samples, most=2)] == ["a", "b"]
