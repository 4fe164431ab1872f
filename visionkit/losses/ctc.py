"""Connectionist temporal classification (Graves et al. 2006), and the texts that it cannot align."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from visionkit.text.batches import filled_up, frames_needed


def ctc_loss(
    logits: Float[Tensor, "b t v"], ids: Sequence[Sequence[int]], frames: Int64[Tensor, "b"], blank: int = 0
) -> Float[Tensor, ""]:
    """Negative log-likelihood of each text over its number of tokens, as a mean over the texts.

    A text that needs more frames than there are (see ``unalignable``) has no likelihood: it counts as 0 and gives no
    gradient. An empty text asks for blanks alone.

    Args:
        logits: of every frame; those behind a row's ``frames`` are left out.
        ids: tokens of each text.
        frames: of each row, 1 or more.
        blank: id of the blank.
    """
    lengths = torch.tensor([len(row) for row in ids])
    if len(ids) == 0:
        return logits.sum() * 0.0
    log_probs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1).transpose(0, 1)
    targets = filled_up(ids, blank).to(logits.device)
    targets = targets if targets.shape[1] else targets.new_zeros(len(ids), 1)
    nll = F.ctc_loss(log_probs, targets, frames.cpu(), lengths, blank, reduction="none", zero_infinity=True)
    return (nll / lengths.clamp(min=1).to(nll.device)).mean()


def unalignable(ids: Sequence[Sequence[int]], frames: Int64[Tensor, "b"]) -> list[int]:
    """Rows whose text needs more frames than there are."""
    return [row for row, have in enumerate(frames.tolist()) if frames_needed(ids[row]) > have]
