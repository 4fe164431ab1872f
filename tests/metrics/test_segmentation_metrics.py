import math

import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex

from visionkit.errors import ConfigError
from visionkit.metrics import segmentation as metrics

K = 5


def example(*shape: int, classes: int = K, ignored: float = 0.2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    prediction = torch.randint(classes, shape, generator=random)
    target = torch.randint(classes, shape, generator=random)
    return prediction, target.masked_fill(torch.rand(shape, generator=random) < ignored, -1)


@pytest.mark.parametrize("shape", [(2, 7, 9), (1, 3, 5, 7), (3, 400, 100), (1, 1, 1)])
def test_confusion_equals_a_loop_and_torchmetrics(shape) -> None:
    prediction, target = example(*shape)
    confusion = metrics.confusion_matrix(prediction, target, K)
    expected = torch.zeros(K, K, dtype=torch.int64)
    if target.numel() < 1000:
        for p, t in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
            if t != -1:
                expected[t, p] += 1
    else:
        expected = MulticlassConfusionMatrix(K, ignore_index=-1)(prediction, target)
    assert torch.equal(confusion, expected)
    assert confusion.dtype == torch.int64
    counted = metrics._count_on_device(prediction.flatten(), target.flatten(), K).view(K + 1, K)[1:]
    assert torch.equal(counted, expected)


def test_confusion_of_other_layouts() -> None:
    prediction, target = example(4, 6, 8)
    expected = metrics.confusion_matrix(prediction, target, K)
    assert torch.equal(metrics.confusion_matrix(prediction.byte(), target.int(), K), expected)
    assert torch.equal(metrics.confusion_matrix(prediction, target.masked_fill(target == -1, 255), K, 255), expected)
    assert torch.equal(
        metrics.confusion_matrix(prediction, target.masked_fill(target == -1, 3), K, 3)[3], torch.zeros(K)
    )
    transposed = metrics.confusion_matrix(prediction.transpose(1, 2), target.transpose(1, 2), K)
    assert torch.equal(transposed, expected)
    assert torch.equal(metrics.confusion_matrix(target.clamp(min=0), prediction, K).sum(), torch.tensor(4 * 6 * 8))


def test_confusion_of_nothing() -> None:
    nothing = torch.zeros(2, 0, 3, dtype=torch.int64)
    assert torch.equal(metrics.confusion_matrix(nothing, nothing, K), torch.zeros(K, K, dtype=torch.int64))
    unlabelled = torch.full((2, 3), -1)
    assert metrics.confusion_matrix(torch.zeros_like(unlabelled), unlabelled, K).sum() == 0


@pytest.mark.parametrize(
    ("prediction", "target", "wrong"), [(5, 0, 5), (-1, 0, -1), (0, 5, 5), (0, -2, -2), (0, 255, 255)]
)
def test_values_that_are_no_class_are_named(prediction, target, wrong) -> None:
    values = torch.tensor([0, prediction]), torch.tensor([0, target])
    with pytest.raises(ConfigError, match=rf"C42.*value {wrong}, which is none of the 5 classes"):
        metrics.confusion_matrix(*values, K)
    with pytest.raises(ConfigError, match="C42"):
        metrics._count_on_device(*values, K)


def test_figures_equal_torchmetrics() -> None:
    prediction, target = example(2, 30, 40)
    confusion = metrics.confusion_matrix(prediction, target, K)
    common = {"num_classes": K, "ignore_index": -1}
    torch.testing.assert_close(
        metrics.iou(confusion), MulticlassJaccardIndex(average=None, **common)(prediction, target)
    )
    recall = MulticlassAccuracy(average=None, **common)(prediction, target)
    torch.testing.assert_close(metrics.accuracy(confusion), recall)
    share = MulticlassAccuracy(average="micro", **common)(prediction, target)
    torch.testing.assert_close(metrics.pixel_accuracy(confusion), share)


def test_figures_by_hand_with_absent_classes() -> None:
    # Class 2 is predicted but never true; class 3 is neither.
    confusion = torch.tensor([[3, 1, 0, 0], [0, 4, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(metrics.iou(confusion), torch.tensor([3 / 4, 4 / 7, 0, math.nan]), equal_nan=True)
    torch.testing.assert_close(
        metrics.accuracy(confusion), torch.tensor([3 / 4, 4 / 6, math.nan, math.nan]), equal_nan=True
    )
    metric = metrics.SegmentationMetrics(4)
    metric.confusion += confusion
    figures = metric.compute()
    assert float(figures["miou"]) == pytest.approx((3 / 4 + 4 / 7 + 0) / 3)
    assert float(figures["mean_accuracy"]) == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert float(figures["pixel_accuracy"]) == pytest.approx(7 / 10)
    assert torch.equal(figures["confusion"], confusion)


def test_metric_names_come_out_plain_from_a_collection() -> None:
    collection = MetricCollection([metrics.SegmentationMetrics(K)])
    collection.update(*example(2, 5, 5))
    figures = collection.compute()
    assert {name: value.ndim for name, value in figures.items()} == {
        "miou": 0,
        "pixel_accuracy": 0,
        "mean_accuracy": 0,
        "iou": 1,
        "accuracy": 1,
        "confusion": 2,
    }
    assert not collection.state_dict()
    collection.reset()
    collection.update(*example(2, 5, 5, seed=1))
    alone = metrics.confusion_matrix(*example(2, 5, 5, seed=1), K)
    assert torch.equal(collection.compute()["confusion"], alone)
    assert torch.equal(figures["confusion"], metrics.confusion_matrix(*example(2, 5, 5), K))


def test_batches_and_processes_add_up_exactly() -> None:
    prediction, target = example(6, 11, 13)
    whole = metrics.SegmentationMetrics(K)
    whole.update(prediction, target)
    parts = [metrics.SegmentationMetrics(K) for _ in range(2)]
    for index in range(6):
        parts[index % 2].update(prediction[index], target[index])
    # What a reduction across processes does with the states of two of them.
    reduce = parts[0]._reductions["confusion"]
    merged = metrics.SegmentationMetrics(K)
    merged.confusion = reduce(torch.stack([part.confusion for part in parts]))
    merged._update_count = 1
    for name, value in whole.compute().items():
        assert torch.equal(merged.compute()[name], value)


def test_empty_set_is_no_number_but_no_crash() -> None:
    figures = metrics.SegmentationMetrics(K).compute()
    assert math.isnan(figures["miou"])
    assert math.isnan(figures["pixel_accuracy"])
    assert math.isnan(figures["mean_accuracy"])
    assert figures["iou"].isnan().all()
    assert figures["confusion"].sum() == 0


def test_counts_beyond_float32_stay_exact() -> None:
    metric = metrics.SegmentationMetrics(2)
    metric.confusion[0, 0] = 2**24
    metric.update(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    metric.to(torch.device("cpu")).half()
    assert metric.compute()["confusion"][0, 0] == 2**24 + 1
