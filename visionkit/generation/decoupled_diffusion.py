"""Decoupled diffusion with a constant drift: its equations as pure functions, and sampling in a few steps.

A clean map fades along a straight line while noise grows: ``x_t = x_0 + t C + sqrt(t) n`` with the drift ``C = -x_0``
and time t in 0..1, so that ``x_1`` is noise alone (Huang et al. 2023, "Decoupled Diffusion Models"; Ye et al. 2024,
"DiffusionEdge", section 3). A network predicts drift and noise apart from each other.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST_TIME = 1e-4
"""Training draws times from here to 1, and sampling may end with a step of this length."""

Map = Float[Tensor, "b c h w"]
Time = Float[Tensor, "b"]
Predict = Callable[[Map, Time], tuple[Map, Map]]
"""Noisy map and its time to drift and noise."""


class Denoising(NamedTuple):
    """What a step of training knows: the truth about noisy maps, and what was predicted of them."""

    clean: Map
    noise: Map
    time: Time
    found_drift: Map
    found_noise: Map
    found_clean: Map
    known: Float[Tensor, "b 1 h w"]
    """Share of each cell where the target is known."""
    decode: Callable[[Map], Float[Tensor, "b 1 height width"]]
    """A clean map to the probability of an edge, which may lie outside 0..1."""
    target: Float[Tensor, "b height width"]
    """Of the decoded map; -1 where it is unknown."""


def noised(clean: Map, noise: Map, time: Time) -> Map:
    """``x_t = (1 - t) x_0 + sqrt(t) n``."""
    t = _over(time, clean)
    return (1 - t) * clean + t.sqrt() * noise


def restored(noisy: Map, drift: Map, noise: Map, time: Time) -> Map:
    """``x_0 = x_t - t C - sqrt(t) n``."""
    t = _over(time, noisy)
    return noisy - t * drift - t.sqrt() * noise


def stepped(noisy: Map, drift: Map, noise: Map, time: Time, step: Time, fresh: Map) -> Map:
    """``x_{t-s} = x_t - s C - s / sqrt(t) n + sqrt(s (t - s) / t) e`` with fresh noise ``e``; ``step`` is at most t."""
    t, s = _over(time, noisy), _over(step, noisy)
    deviation = (s * (t - s) / t).clamp(min=0).sqrt()
    return noisy - s * drift - s / t.sqrt() * noise + deviation * fresh


def preconditioned(noisy: Map, raw_drift: Map, raw_noise: Map, time: Time) -> tuple[Map, Map]:
    """Drift and noise from a network's two outputs, to which what the noisy map already says is added.

    ``C = (1 - t) x_t + t / sqrt(t^2 + 1) F_1`` and ``n = sqrt(t) x_t + sqrt(1 - t) / sqrt(t^2 + 1) F_2``.
    """
    t = _over(time, noisy)
    length = (t.square() + 1).sqrt()
    return (1 - t) * noisy + t / length * raw_drift, t.sqrt() * noisy + (1 - t).sqrt() / length * raw_noise


def drift_weight(time: Time) -> Time:
    """Weight of the drift's error, ``(t + 1) / sqrt(t)``."""
    return (time + 1) / time.sqrt()


def noise_weight(time: Time) -> Time:
    """Weight of the noise's error, ``sqrt(2 - t) / sqrt(1 - t + 1e-4)``."""
    return ((2 - time) / (1 - time + SMALLEST_TIME)).sqrt()


def schedule(steps: int, split_last: bool = True) -> list[float]:
    """Times from 1 to 0 in equal steps; ``split_last`` makes two of the last one, the second of SMALLEST_TIME."""
    times = [1 - index / steps for index in range(steps)]
    return [*times, *([SMALLEST_TIME] if split_last else []), 0.0]


def sample(predict: Predict, start: Map, draw: Callable[[], Map], times: list[float]) -> Map:
    """A clean map from noise ``start`` at ``times[0]``, by one prediction for each time but the last.

    The drift of each step is the negative of the clean map that the prediction restores. ``draw`` gives fresh noise;
    it is not asked for the step to time 0, which has none.
    """
    noisy = start
    for time, after in pairwise(times):
        t, s = noisy.new_full((len(noisy),), time), noisy.new_full((len(noisy),), time - after)
        drift, noise = predict(noisy, t)
        clean = restored(noisy, drift, noise, t)
        noisy = stepped(noisy, -clean, noise, t, s, draw() if after else torch.zeros_like(noisy))
    return noisy


def _over(time: Time, like: Map) -> Float[Tensor, "b 1 1 1"]:
    return time.view(-1, *[1] * (like.ndim - 1))
