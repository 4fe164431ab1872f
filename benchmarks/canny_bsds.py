"""Canny on BSDS500 by the metrics of the task: what a trained network has to beat.

    python benchmarks/canny_bsds.py [folder of the data] [split]

Nothing is trained; blur and hysteresis are as they were best on training pictures. Without data nothing is measured.
"""

import sys
import time
from pathlib import Path

from visionkit.baselines.canny import Canny
from visionkit.config import build, compose
from visionkit.datasets.bsds import BSDS


def main(root: str = "data/bsds500", split: str = "test") -> None:
    if not Path(root).is_dir():
        print(f"no {root}: name the folder of BSDS500")
        return
    dataset, canny = BSDS(root=root, split=split), Canny()
    metrics = build(compose("train", ["task=edges/sides"]).tasks.edges.metrics)(dataset.labels["edges"])
    start = time.perf_counter()
    for index in range(len(dataset)):
        sample = dataset[index]
        metrics.update(canny(sample["image"])[None], sample["edges"][None])
    figures = {name: value for name, value in metrics.compute().items() if value.ndim == 0}
    seconds = time.perf_counter() - start
    print(f"{canny}: {len(dataset)} pictures of {split} in {seconds:.0f} s")
    print("  ".join(f"{name} {float(value):.3f}" for name, value in figures.items()))


if __name__ == "__main__":
    main(*sys.argv[1:3])
