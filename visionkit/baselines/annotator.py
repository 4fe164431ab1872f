"""A person's drawing as a detector: how well the annotators of a picture agree, which is what learning can hope for."""

import numpy as np
from jaxtyping import Int8, Int64
from torch import Tensor

from visionkit.metrics.edge_protocol.counting import threshold_counts
from visionkit.types import IGNORE_INDEX


def counts_against_the_others(edges: Int8[Tensor, "a h w"], tolerance: float) -> Int64[np.ndarray, "1 4"]:
    """Counts of each annotator's edges against the drawings of all others, summed; 0 where there is only one.

    ``metrics.edge_protocol.curve.f_measure`` of their sum over pictures is what the benchmark calls human.

    Args:
        edges: 1 on an edge, IGNORE_INDEX where unknown.
        tolerance: see ``labels.Edges``.
    """
    maps = edges.cpu().numpy()
    total = np.zeros((1, 4), np.int64)
    for one in range(len(maps) if len(maps) > 1 else 0):
        others = np.delete(maps, one, axis=0)
        found = (maps[one] == 1).astype(np.uint8) * 255
        total += threshold_counts(found, others == 1, (others != IGNORE_INDEX).any(0), tolerance, thresholds=1)
    return total
