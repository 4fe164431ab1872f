"""What a decoding procedure gives: tokens, how probable each was, and how probable the whole is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Decoded:
    """One sequence for each of ``b`` memories. Probabilities are the model's own, as calibrated as the model is.

    Attributes:
        tokens: ids without those of start and end (without blanks for CTC); rows filled up with -1.
        log_probs: natural logarithm of each token's probability given those before it; rows filled up with NaN.
        log_prob: of the whole sequence with its end.
        ended: False where the sequence was cut at the greatest length.
    """

    tokens: Int64[Tensor, "b t"]
    log_probs: Float[Tensor, "b t"]
    log_prob: Float[Tensor, "b"]
    ended: Bool[Tensor, "b"]

    @property
    def lengths(self) -> Int64[Tensor, "b"]:
        """Tokens of each sequence."""
        return (self.tokens >= 0).sum(1)

    @property
    def token_confidence(self) -> Float[Tensor, "b t"]:
        """Probability of each token, NaN behind the end."""
        return self.log_probs.exp()

    @property
    def confidence(self) -> Float[Tensor, "b"]:
        """Probability of each whole sequence."""
        return self.log_prob.exp()

    def rows(self) -> list[list[int]]:
        """The ids of each sequence, without what fills the rows up."""
        lengths = self.lengths.tolist()
        return [row[:length] for row, length in zip(self.tokens.tolist(), lengths, strict=True)]


Written = tuple[Int64[Tensor, "r"], Int64[Tensor, "r"], Float[Tensor, "r"]]
"""What one step wrote: numbers of the rows, the token of each, and the logarithm of its probability."""


def assembled(written: Sequence[Written], like: Float[Tensor, "b ..."], end: int) -> Decoded:
    """The sequences from the steps that wrote them; the end token is counted in their probability and then removed."""
    count, steps, device = len(like), len(written), like.device
    tokens = torch.full((count, steps), -1, dtype=torch.int64, device=device)
    dtype = written[0][2].dtype if written else torch.float32
    log_probs = torch.full((count, steps), torch.nan, dtype=dtype, device=device)
    for step, (rows, chosen, log_prob) in enumerate(written):
        tokens[rows, step] = chosen
        log_probs[rows, step] = log_prob
    is_end = tokens == end
    total = _total(tokens, log_probs)
    return trimmed(tokens.masked_fill(is_end, -1), log_probs.masked_fill(is_end, torch.nan), total, is_end.any(1))


def _total(tokens: Int64[Tensor, "b t"], log_probs: Float[Tensor, "b t"]) -> Float[Tensor, "b"]:
    """Sum over the tokens there are. By their places, not by their values: a NaN of the decoder's must not be lost."""
    return log_probs.masked_fill(tokens < 0, 0).sum(1)


def trimmed(tokens: Tensor, log_probs: Tensor, log_prob: Tensor, ended: Tensor) -> Decoded:
    """Without the columns that no sequence fills."""
    longest = int((tokens >= 0).sum(1).max()) if tokens.numel() else 0
    return Decoded(tokens[:, :longest], log_probs[:, :longest], log_prob, ended)


def filled_rows(
    tokens: Sequence[Sequence[int]], log_probs: Sequence[Sequence[float]], ended: Sequence[bool], like: Tensor
) -> Decoded:
    """The sequences from lists; the last token of an ended one is its end."""
    ids, values = padded(tokens, -1, torch.int64), padded(log_probs, math.nan, like.dtype)
    over = torch.tensor(list(ended), dtype=torch.bool)
    total = _total(ids, values)
    last = over[:, None] & (torch.arange(ids.shape[1]) == (ids >= 0).sum(1, keepdim=True) - 1)
    parts = (ids.masked_fill(last, -1), values.masked_fill(last, math.nan), total, over)
    return trimmed(*(part.to(like.device) for part in parts))


def padded(rows: Sequence[Sequence[float]], fill: float, dtype: torch.dtype) -> Tensor:
    """Rows of different lengths as one tensor, filled up at their ends."""
    longest = max(map(len, rows), default=0)
    full = [[*row, *[fill] * (longest - len(row))] for row in rows]
    return torch.tensor(full, dtype=dtype).view(len(rows), longest)
