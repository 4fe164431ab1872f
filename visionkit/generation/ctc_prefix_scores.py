"""What CTC says of the next token: how probable each is as the one after a given prefix."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from visionkit.generation.ctc_prefixes import log_add


@dataclass(frozen=True)
class CTCPrefixes:
    """A prefix of each row, and how probable it is that the first ``f`` frames read exactly this prefix.

    Id 0 is the blank, and at the place of a next token the end of the text.

    Attributes:
        frames: log-probabilities; frames behind the end of a row are certain blanks. Prefixes share them.
        owners: whose frames each prefix is over.
        blank: of the prefix after 0 .. t frames, the last of which is a blank (or there is none yet).
        token: the same where the last frame is the prefix's last token.
        last: the last token of each prefix; 0 where there is none.
    """

    frames: Float64[Tensor, "m t v"]
    owners: Int64[Tensor, "b"]
    blank: Float64[Tensor, "b t+1"]
    token: Float64[Tensor, "b t+1"]
    last: Int64[Tensor, "b"]

    @classmethod
    def begin(cls, logits: Float[Tensor, "b t v"], lengths: Int64[Tensor, "b"] | None = None) -> "CTCPrefixes":
        """Empty prefixes; ``lengths`` are the real frames of each row, all without it."""
        frames = logits.detach().double().log_softmax(-1)
        if lengths is not None:
            behind = torch.arange(frames.shape[1], device=frames.device) >= lengths[:, None]
            certain = frames.new_full((frames.shape[2],), -torch.inf)
            certain[0] = 0
            frames = torch.where(behind[..., None], certain, frames)
        return cls.empty(frames, torch.arange(len(frames), device=frames.device))

    @classmethod
    def empty(cls, frames: Float64[Tensor, "m t v"], owners: Int64[Tensor, "b"]) -> "CTCPrefixes":
        """Empty prefixes over the log-probabilities of their owners."""
        blank = torch.cat([frames.new_zeros(len(owners), 1), frames[owners, :, 0].cumsum(1)], 1)
        return cls(frames, owners, blank, torch.full_like(blank, -torch.inf), torch.zeros_like(owners))

    def next_log_probs(self) -> Float64[Tensor, "b v"]:
        """Log-probability of each next token given the prefix, the end at 0 (Watanabe et al. 2017, algorithm 2).

        A prefix that the frames cannot give ends at once.
        """
        rows = torch.arange(len(self.last), device=self.last.device)
        ready = torch.logaddexp(self.blank, self.token)
        totals = _sum(self.frames.index_select(0, self.owners).add_(ready[:, :-1, None]))
        again = self.blank[:, :-1] + self.frames[self.owners, :, self.last]  # an equal token needs a blank before it
        totals[rows, self.last] = _sum(again)
        totals[:, 0] = ready[:, -1]
        totals[(totals == -torch.inf).all(1), 0] = 0
        return totals.log_softmax(1)

    def extend(self, tokens: Int64[Tensor, "b"]) -> "CTCPrefixes":
        """Each prefix with one token more; -1 leaves it as it is."""
        own, blanks = self.frames[self.owners, :, tokens.clamp(min=0)], self.frames[self.owners, :, 0].contiguous()
        parts = (own, blanks, self.blank, self.token, tokens == self.last, tokens < 0)
        grown = _extended(*(part.cpu().numpy() for part in parts))
        blank, token = (torch.from_numpy(part).to(self.frames.device) for part in grown)
        return replace(self, blank=blank, token=token, last=torch.where(tokens < 0, self.last, tokens))

    def again(self, rows: Sequence[Sequence[int]]) -> "CTCPrefixes":
        """The prefixes with these tokens, over the same frames."""
        found = CTCPrefixes.empty(self.frames, self.owners)
        for place in range(max(map(len, rows), default=0)):
            column = [row[place] if place < len(row) else -1 for row in rows]
            found = found.extend(torch.tensor(column, device=self.frames.device))
        return found

    def select(self, rows: Int64[Tensor, "r"]) -> "CTCPrefixes":
        """The prefixes of these rows, some perhaps several times."""
        parts = (self.owners, self.blank, self.token, self.last)
        return CTCPrefixes(self.frames, *(part.index_select(0, rows) for part in parts))


def _sum(log_probs: Float64[Tensor, "b t *v"]) -> Float64[Tensor, "b *v"]:
    """Over the frames; of none it is nothing."""
    if not log_probs.shape[1]:
        return log_probs.new_full((log_probs.shape[0], *log_probs.shape[2:]), -torch.inf)
    return log_probs.logsumexp(1)


@numba.njit(cache=True, nogil=True)
def _extended(own, blanks, blank, token, again, stays):  # type: ignore[no-untyped-def]
    """``blank`` and ``token`` of the prefixes with one token more, which ``own`` says of each frame."""
    count, length = own.shape
    ends_blank, ends_token = np.full((count, length + 1), -np.inf), np.full((count, length + 1), -np.inf)
    for row in range(count):
        if stays[row]:
            ends_blank[row], ends_token[row] = blank[row], token[row]
            continue
        for frame in range(length):
            ready = blank[row, frame]
            if not again[row]:
                ready = log_add(ready, token[row, frame])
            ends_token[row, frame + 1] = log_add(ends_token[row, frame], ready) + own[row, frame]
            ends_blank[row, frame + 1] = log_add(ends_blank[row, frame], ends_token[row, frame]) + blanks[row, frame]
    return ends_blank, ends_token
