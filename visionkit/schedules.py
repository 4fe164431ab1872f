"""Learning-rate schedules over the steps of a run; each is called as ``schedule(optimizer, total_steps=...)``."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.05, final: float = 0.01) -> LambdaLR:
    """Linear warm-up over a share of the steps, then half a cosine down to ``final`` of the rate."""
    rise = max(1, round(warmup * total_steps))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        progress = min(1.0, (step - rise) / max(1, total_steps - rise))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)


def polynomial(optimizer: Optimizer, total_steps: int, warmup: float = 0.0, power: float = 0.9) -> LambdaLR:
    """``(1 - step / total)^power`` after an optional linear warm-up; the usual schedule for segmentation."""
    rise = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        return max(0.0, 1 - (step - rise) / max(1, total_steps - rise)) ** power

    return LambdaLR(optimizer, factor)


def constant(optimizer: Optimizer, total_steps: int, warmup: float = 0.0) -> LambdaLR:
    """The full rate after an optional linear warm-up."""
    rise = round(warmup * total_steps)
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (rise + 1)))
