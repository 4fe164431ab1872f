"""Confusion matrix and IoU of a large picture: ours against torchmetrics, alternately, on the same tensors.

    python benchmarks/segmentation_metrics.py [rounds]

Fails when the results differ, or when the median ratio is below the promised one.
"""

import statistics
import sys
import time

import torch
from torchmetrics.classification import MulticlassJaccardIndex

from visionkit.metrics.segmentation import SegmentationMetrics
from visionkit.types import IGNORE_INDEX

CLASSES, SHAPE, TOLERANCE, PROMISED = 19, (1, 1024, 2048), 1e-6, 15.0


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """A prediction with compact regions and noise, and a truth with unlabelled pixels."""
    random = torch.Generator().manual_seed(0)
    regions = torch.randint(CLASSES, (1, SHAPE[1] // 32, SHAPE[2] // 32), generator=random)
    truth = regions.repeat_interleave(32, 1).repeat_interleave(32, 2)
    noise = torch.randint(CLASSES, SHAPE, generator=random)
    prediction = torch.where(torch.rand(SHAPE, generator=random) < 0.2, noise, truth)
    return prediction, truth.masked_fill(torch.rand(SHAPE, generator=random) < 0.05, IGNORE_INDEX)


def ours(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    metric = SegmentationMetrics(CLASSES)
    metric.update(prediction, truth)
    return metric.compute()["iou"]


def theirs(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    metric = MulticlassJaccardIndex(CLASSES, average=None, ignore_index=IGNORE_INDEX)
    metric.update(prediction, truth)
    return metric.compute()


def timed(function, *inputs: torch.Tensor) -> tuple[float, torch.Tensor]:
    start = time.perf_counter()
    result = function(*inputs)
    return time.perf_counter() - start, result


def main(rounds: int = 9) -> None:
    inputs = pictures()
    seconds: dict[str, list[float]] = {"ours": [], "torchmetrics": []}
    for _ in range(rounds + 1):
        for name, function in (("ours", ours), ("torchmetrics", theirs)):
            elapsed, result = timed(function, *inputs)
            seconds[name].append(elapsed)
            if name == "ours":
                expected = result
        difference = float((result - expected).abs().max())
        if difference > TOLERANCE:
            sys.exit(f"the results differ by {difference}")
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}  # the first round warms up
    ratio = medians["torchmetrics"] / medians["ours"]
    print(
        f"{CLASSES} classes, {SHAPE[1]} x {SHAPE[2]} pixels, median of {rounds}, greatest difference {difference:.1e}"
    )
    for name, median in medians.items():
        print(f"{name:>12}: {median * 1e3:8.2f} ms")
    print(f"       ratio: {ratio:8.1f} (promised: {PROMISED:.0f})")
    if ratio < PROMISED:
        sys.exit("slower than promised")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
