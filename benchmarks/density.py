"""Density maps of 768 x 1024: ours against the usual script, which filters a picture for each point.

    python benchmarks/density.py [rounds] [points filtered]

The alternative is what published preprocessing does: scipy's ``gaussian_filter`` of a picture with a single point,
added up. It is run on some of the points, in turn with ours, and its time scaled to all of them, for it is the same for
each (for adaptive kernels up to their size). Fails when the maps differ inside the border, or when the smallest ratio
of the fastest rounds is below the promised one.
"""

import sys
import time

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from visionkit.losses.density_targets import AdaptiveKernel, FixedKernel, density_map

SIZE, TOLERANCE, PROMISED = (768, 1024), 1e-6, 5000.0
KERNELS = {"fixed, 15 px": FixedKernel(15.0), "adaptive": AdaptiveKernel(largest_px=30.0)}
MARGIN = 121  # no kernel reaches the border from inside it


def points(count: int, margin: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(count)
    extent = np.array(SIZE[::-1]) - 2 * margin
    return torch.from_numpy((rng.random((count, 2)) * extent + margin).astype(np.float32))


def script(places: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    density = np.zeros(SIZE, np.float32)
    for (x, y), sigma in zip(places, sigmas, strict=True):
        single = np.zeros(SIZE, np.float32)
        single[min(int(y), SIZE[0] - 1), min(int(x), SIZE[1] - 1)] = 1.0
        density += gaussian_filter(single, sigma, mode="constant")
    return density


def script_sigmas(places: np.ndarray, kernel) -> np.ndarray:
    if isinstance(kernel, FixedKernel):
        return np.full(len(places), kernel.sigma_px)
    distances, _ = cKDTree(places).query(places, k=4)
    return (0.1 * distances[:, 1:].sum(1)).clip(max=kernel.largest_px)


def differs(kernel, filtered: int) -> float:
    inner = points(filtered, MARGIN)
    want = script(inner.numpy(), script_sigmas(inner.numpy().astype(np.float64), kernel))
    return float(np.abs(density_map(inner, SIZE, kernel).numpy() - want).max() / want.max())


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ratio(count: int, kernel, rounds: int, filtered: int) -> float:
    all_points = points(count)
    places = all_points.numpy().astype(np.float64)
    sigmas = script_sigmas(places, kernel)
    density_map(all_points, SIZE, kernel)  # compiles
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(seconds(lambda: density_map(all_points, SIZE, kernel)))
        theirs.append(seconds(lambda: script(places[:filtered], sigmas[:filtered])) * count / filtered)
    ours_s, theirs_s = min(ours), min(theirs)
    print(f"{count:6} points: ours {ours_s * 1e3:7.2f} ms, script {theirs_s:8.1f} s, ratio {theirs_s / ours_s:8.0f}")
    return theirs_s / ours_s


def main(rounds: int = 5, filtered: int = 20) -> None:
    ratios = []
    for name, kernel in KERNELS.items():
        difference = differs(kernel, filtered)
        print(f"{name}: largest difference {difference:.1e} of the maximum")
        if not difference <= TOLERANCE:
            sys.exit("the results differ")
        ratios += [ratio(count, kernel, rounds, filtered) for count in (500, 3000)]
    print(f"smallest ratio: {min(ratios):.0f} (promised: {PROMISED:.0f})")
    if min(ratios) < PROMISED:
        sys.exit("slower than promised")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
