"""Counts of the edge benchmark at 99 thresholds: ours, kept up to date from threshold to threshold, against scipy's
``min_weight_full_bipartite_matching`` at each threshold and annotator anew.

    python benchmarks/edges.py [rounds]

Both start from the same probabilities after non-maximum suppression and thin them with the same function. Fails when
numbers of pairs or of pixels differ anywhere, when F differs by more than matchings of equal cost explain, or when the
median ratio is below the promised one.
"""

import statistics
import sys
import time

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from visionkit.datasets.synthetic_edges import ShapeEdges
from visionkit.metrics.edge_protocol.counting import eight_bits, threshold_counts
from visionkit.metrics.edge_protocol.curve import f_measure
from visionkit.metrics.edge_protocol.nms import Suppression
from visionkit.metrics.edge_protocol.thinning import thin

SIZE, ANNOTATORS, TOLERANCE, THRESHOLDS = (120, 160), 3, 0.015, 99
F_DIFFERENCE, PROMISED = 1e-3, 30.0


def picture() -> tuple[np.ndarray, np.ndarray]:
    """Outlines of shapes as several people draw them, and a blurred and noisy guess of them, suppressed, in 8 bits."""
    dataset = ShapeEdges("test", length=50, size=SIZE, annotators=ANNOTATORS)
    samples = (dataset[index]["edges"].numpy() == 1 for index in range(len(dataset)))
    drawn = next(edges for edges in samples if len(edges) == ANNOTATORS)
    noise = gaussian_filter(np.random.default_rng(0).random(SIZE), 1.5)
    guess = gaussian_filter(drawn.mean(0), 1.5) * 3 + 2 * np.abs(noise - 0.5)
    return eight_bits(Suppression()(guess)), drawn


def ours(found: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    return threshold_counts(found, drawn, np.ones(SIZE, bool), TOLERANCE, THRESHOLDS)


def theirs(found: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    reach = TOLERANCE * float(np.hypot(*SIZE))
    trees = [cKDTree(np.argwhere(one)) for one in drawn]
    counts = np.zeros((THRESHOLDS, 4), np.int64)
    for k in range(1, THRESHOLDS + 1):
        cut = thin(found >= np.ceil(255 * k / (THRESHOLDS + 1)))
        met = np.stack([matched(cut, tree, reach) for tree in trees])
        counts[k - 1] = met.sum(), drawn.sum(), met.any(0).sum(), cut.sum()
    return counts


def matched(cut: np.ndarray, drawn: cKDTree, reach: float) -> np.ndarray:
    """Which found pixels have a partner: each may also stay alone, at a hundred times the largest distance."""
    pixels = np.argwhere(cut)
    if not len(pixels):
        return np.zeros(0, bool)
    near = cKDTree(pixels).sparse_distance_matrix(drawn, reach, output_type="ndarray")
    alone = np.arange(len(pixels))
    rows, columns = np.concatenate([near["i"], alone]), np.concatenate([near["j"], drawn.n + alone])
    fee = np.full(len(pixels), np.ceil(100 * reach * 100))
    costs = np.concatenate([np.rint(near["v"] * 100), fee]) + 1  # a cost of 0 would be no pair
    graph = csr_array((costs, (rows, columns)), shape=(len(pixels), drawn.n + len(pixels)))
    return min_weight_full_bipartite_matching(graph)[1] < drawn.n


def timed(function, *inputs: np.ndarray) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    result = function(*inputs)
    return time.perf_counter() - start, result


def main(rounds: int = 3) -> None:
    inputs = picture()
    ours(*inputs)  # compiles
    seconds: dict[str, list[float]] = {"ours": [], "scipy": []}
    for _ in range(rounds):
        for name, function in (("ours", ours), ("scipy", theirs)):
            elapsed, result = timed(function, *inputs)
            seconds[name].append(elapsed)
            if name == "ours":
                counts = result
        if not (counts[:, [0, 1, 3]] == result[:, [0, 1, 3]]).all():
            sys.exit("numbers of pairs or of pixels differ")
        difference = float(np.abs(f_measure(counts) - f_measure(result)).max())
        if difference > F_DIFFERENCE:
            sys.exit(f"F differs by {difference}")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratio = statistics.median(b / a for a, b in zip(seconds["ours"], seconds["scipy"], strict=True))
    print(f"{SIZE[0]} x {SIZE[1]}, {ANNOTATORS} annotators, {(inputs[0] > 0).sum()} found and {inputs[1].sum()} drawn")
    print(f"median of {rounds}, pairs and pixels equal, greatest difference of F {difference:.1e}")
    for name, median in medians.items():
        print(f"{name:>8}: {median * 1e3:9.1f} ms")
    print(f"   ratio: {ratio:9.1f} (promised: {PROMISED:.0f})")
    if ratio < PROMISED:
        sys.exit("slower than promised")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
