"""From logits to the logarithms of probabilities, at a temperature and under a constraint."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visionkit.errors import ConfigError


def next_log_probs(
    logits: Float[Tensor, "*b v"],
    allowed: Bool[Tensor, "*b v"] | None,
    temperature: float,
    end: int,
    normalised: bool = True,
) -> Float[Tensor, "*b v"]:
    """Log-probabilities of the next token among those allowed, in float32 or better.

    Where nothing that is possible is allowed, the end is. A temperature above 1 flattens: it calibrates confidences,
    greedy tokens do not depend on it. Logits that are scores already stay so, but for the temperature, if not
    ``normalised``.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if allowed is not None:
        allowed = allowed.clone()
        allowed[..., end] |= ~allowed.any(-1)
        logits = logits.masked_fill(~allowed, -torch.inf)
        nothing = (logits == -torch.inf).all(-1)  # what a decoder excludes and what is not allowed can be everything
        logits[..., end] = logits[..., end].masked_fill(nothing, 0)
    logits = logits if temperature == 1 else logits / temperature
    return logits.log_softmax(-1) if normalised else logits


def require_settings(max_length: int, temperature: float, **positive: int) -> None:
    """Raises ConfigError: C173 a length or number of beams below 1, C174 a temperature that is not positive."""
    for name, value in {"max_length": max_length, **positive}.items():
        if value < 1:
            raise ConfigError("C173", f"search.{name}", f"{value} is below 1", "give a positive number")
    if not temperature > 0:
        what = f"a temperature of {temperature} divides by nothing"
        raise ConfigError("C174", "search.temperature", what, "give a positive number; 1 changes nothing")
