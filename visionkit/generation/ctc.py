"""Greedy decoding of connectionist temporal classification, and where in the frames a sequence lies."""

import numba
import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from visionkit.generation.result import Decoded, trimmed
from visionkit.generation.scores import require_settings


@torch.no_grad()
def ctc_greedy(
    logits: Float[Tensor, "b t v"],
    lengths: Int64[Tensor, "b"] | None = None,
    *,
    blank: int = 0,
    temperature: float = 1.0,
) -> Decoded:
    """The most probable class of every frame, equal neighbours joined, blanks removed (Graves et al. 2006, eq. 4).

    Args:
        logits: of tokens and blank; log-probabilities will do.
        lengths: frames of each row that are real; all without it.
        blank: its id.
        temperature: divides the logits.

    A token is as probable as it is in the best of its frames, a sequence as its best path.

    Raises ConfigError C174 of ``require_settings``.
    """
    require_settings(1, temperature)
    log_probs, best, real = _best(logits, lengths, temperature)
    same = torch.zeros_like(real)
    same[:, 1:] = best[:, 1:] == best[:, :-1]
    begins = real & (best != blank) & ~same
    slot = begins.cumsum(1) - 1
    inside = real & (best != blank)
    longest = int(begins.sum(1).max()) if begins.numel() else 0
    tokens = torch.full((len(best), longest + 1), -1, dtype=torch.int64, device=best.device)
    values = log_probs.new_full(tokens.shape, -torch.inf)
    place = slot.masked_fill(~inside, longest)  # the last column takes what belongs to no token
    tokens.scatter_(1, place, best)
    values.scatter_reduce_(1, place, log_probs, "amax")
    tokens, values = tokens[:, :longest], values[:, :longest]
    total = log_probs.masked_fill(~real, 0).sum(1)
    ended = torch.ones(len(best), dtype=torch.bool, device=best.device)
    return trimmed(tokens, values.masked_fill(tokens < 0, torch.nan), total, ended)


def _best(
    logits: Float[Tensor, "b t v"], lengths: Int64[Tensor, "b"] | None, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probability and id of the best class of every frame, and which frames are real."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    log_probs, best = logits.log_softmax(-1).max(-1)
    real = torch.ones_like(best, dtype=torch.bool)
    if lengths is not None:
        real = torch.arange(best.shape[1], device=best.device) < lengths[:, None]
    return log_probs, best, real


def alignment(
    log_probs: Float64[np.ndarray, "t v"], tokens: Int64[np.ndarray, " n"], blank: int = 0
) -> Int64[np.ndarray, " t"]:
    """The most probable path of a sequence: for each frame the index of its token, -1 for a blank (Viterbi).

    All frames are -1 where the sequence needs more frames than there are.
    """
    return _viterbi(np.ascontiguousarray(log_probs, dtype=np.float64), np.asarray(tokens, dtype=np.int64), blank)


@numba.njit(cache=True, nogil=True)
def _viterbi(log_probs: np.ndarray, tokens: np.ndarray, blank: int) -> np.ndarray:
    """States are blank, token, blank, token, ..., blank; a path moves on by none, one, or two of them."""
    frames, states = log_probs.shape[0], 2 * len(tokens) + 1
    score = np.full(states, -np.inf)
    back = np.zeros((frames, states), np.int8)
    path = np.full(frames, -1, np.int64)
    if frames == 0:
        return path
    score[0] = log_probs[0, blank]
    if states > 1:
        score[1] = log_probs[0, tokens[0]]
    for frame in range(1, frames):
        for state in range(states - 1, -1, -1):
            best, move = score[state], 0
            if state > 0 and score[state - 1] > best:
                best, move = score[state - 1], 1
            skips = state % 2 == 1 and state > 1 and tokens[state // 2] != tokens[state // 2 - 1]
            if skips and score[state - 2] > best:
                best, move = score[state - 2], 2
            emitted = tokens[state // 2] if state % 2 else blank
            score[state] = best + log_probs[frame, emitted]
            back[frame, state] = move
    state = states - 1
    if states > 1 and score[states - 2] > score[states - 1]:
        state = states - 2
    if score[state] == -np.inf:
        return path
    for frame in range(frames - 1, -1, -1):
        if state % 2:
            path[frame] = state // 2
        state -= back[frame, state]
    return path
