"""CTC of a few frames, written out: all paths there are, and the texts that they read."""

import itertools
import math
from collections import defaultdict


def collapsed(path, blank=0):
    """What a path reads."""
    return tuple(token for token, _ in itertools.groupby(path) if token != blank)


def every_text(logits, blank=0):
    """Log-probability of each text of one row: the sum over its paths."""
    texts = defaultdict(float)
    steps = logits.softmax(-1).tolist()
    for path in itertools.product(range(logits.shape[1]), repeat=len(steps)):
        texts[collapsed(path, blank)] += math.prod(step[token] for step, token in zip(steps, path, strict=True))
    return {text: math.log(probability) for text, probability in texts.items()}
