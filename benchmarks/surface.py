"""HD95 of two ellipsoids and a false-positive cube in 128^3 voxels: ours against the distance transforms of medpy.

    python benchmarks/surface.py [rounds]

The alternative computes what medpy's ``hd95`` does (erosion, a Euclidean distance transform of the whole array each
way, one percentile); where medpy is installed, it is run itself. Both take turns on the same arrays. Fails when the
results differ, or when the median ratio is below the promised one.
"""

import statistics
import sys
import time

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

from visionkit.metrics.surface import hausdorff

SIDE, SPACING, TOLERANCE, PROMISED = 128, (1.5, 1.0, 0.8), 1e-9, 8.0


def masks() -> tuple[np.ndarray, np.ndarray]:
    """A prediction that is shifted and a little larger, with a cube far away, and a truth."""
    grid = np.indices((SIDE,) * 3)

    def ellipsoid(centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
        terms = (((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, radii, strict=True))
        return sum(terms) < 1

    truth, prediction = ellipsoid((64, 64, 64), (40, 30, 24)), ellipsoid((66, 63, 65), (41, 31, 24))
    prediction[5:13, 5:13, 5:13] = True
    return prediction, truth


def by_transform(prediction: np.ndarray, truth: np.ndarray) -> float:
    borders = [mask & ~binary_erosion(mask) for mask in (prediction, truth)]
    lists = [distance_transform_edt(~borders[1 - i], sampling=SPACING)[borders[i]] for i in range(2)]
    return float(np.percentile(np.concatenate(lists), 95))


def ours(prediction: np.ndarray, truth: np.ndarray) -> float:
    return hausdorff(prediction, truth, SPACING)


def alternative():
    try:
        from medpy.metric.binary import hd95
    except ImportError:
        return "as medpy", by_transform
    return "medpy", lambda prediction, truth: float(hd95(prediction, truth, voxelspacing=SPACING))


def main(rounds: int = 5) -> None:
    inputs, seconds, results = masks(), {}, {}
    name, theirs = alternative()
    for _ in range(rounds + 1):
        for label, function in (("ours", ours), (name, theirs)):
            start = time.perf_counter()
            results[label] = function(*inputs)
            seconds.setdefault(label, []).append(time.perf_counter() - start)
        difference = abs(results["ours"] - results[name])
        if not difference <= TOLERANCE:
            sys.exit(f"the results differ by {difference}")
    medians = {label: statistics.median(times[1:]) for label, times in seconds.items()}  # the first round warms up
    ratio = medians[name] / medians["ours"]
    print(f"HD95 {results['ours']:.5f} mm, median of {rounds}, difference {difference:.1e}")
    for label, median in medians.items():
        print(f"{label:>10}: {median * 1e3:8.1f} ms")
    print(f"     ratio: {ratio:8.1f} (promised: {PROMISED:.0f})")
    if ratio < PROMISED:
        sys.exit("slower than promised")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
