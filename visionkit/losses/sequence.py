"""Losses of decoders that write token by token, under teacher forcing."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from visionkit.types import IGNORE_INDEX


def token_cross_entropy(
    logits: Float[Tensor, "b t v"], targets: Int64[Tensor, "b t"], smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Cross-entropy as a mean over all tokens but those that are IGNORE_INDEX; 0 where there are none.

    Args:
        logits: of the token at each place.
        targets: the token itself.
        smoothing: share of the truth that all tokens have equally, 0..1 (Szegedy et al. 2016, section 7).
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    terms = F.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORE_INDEX,
        label_smoothing=smoothing,
        reduction="sum",
    )
    return terms / (targets != IGNORE_INDEX).sum().clamp(min=1)
