"""Canny on BSDS500 by the metrics of the task, and how far its annotators agree: what lies around a trained network.

    python benchmarks/canny_bsds.py [folder of the data] [split]

Nothing is trained; blur and hysteresis are as they were best on training pictures. Without data nothing is measured.
"""

import sys
import time
from pathlib import Path

import numpy as np

from visionkit.baselines.annotator import counts_against_the_others
from visionkit.baselines.canny import Canny
from visionkit.config import build, compose
from visionkit.datasets.bsds import BSDS
from visionkit.metrics.edge_protocol.curve import f_measure, recall_precision


def main(root: str = "data/bsds500", split: str = "test") -> None:
    if not Path(root).is_dir():
        print(f"no {root}: name the folder of BSDS500")
        return
    dataset, canny = BSDS(root=root, split=split), Canny()
    labels = dataset.labels["edges"]
    configured = compose("train", ["task=edges/sides", "tasks.edges.metrics.crisp=true"]).tasks.edges.metrics
    metrics, human = build(configured)(labels), np.zeros((1, 4), np.int64)
    start = time.perf_counter()
    for index in range(len(dataset)):
        sample = dataset[index]
        metrics.update(canny(sample["image"])[None], sample["edges"][None])
        human += counts_against_the_others(sample["edges"], labels.tolerance)
    figures = {name: value for name, value in metrics.compute().items() if value.ndim == 0}
    seconds = time.perf_counter() - start
    print(f"{len(dataset)} pictures of {split} in {seconds:.0f} s")
    print(f"{canny}: " + "  ".join(f"{name} {float(value):.3f}" for name, value in figures.items()))
    recall, precision = (float(value[0]) for value in recall_precision(human))
    agreed = f"f {float(f_measure(human)[0]):.3f}  recall {recall:.3f}  precision {precision:.3f}"
    print(f"an annotator against the others: {agreed}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
