"""A language takes part in what a decoder writes."""

from dataclasses import dataclass

import numba
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from visionkit.generation.ngram_lm import NGramModel, follow
from visionkit.types import DecodingState, SequenceDecoder


class Fused:
    """A sequence decoder to whose logits the log-probabilities of an n-gram model are added (shallow fusion; Gulcehre
    et al. 2015, arXiv 1503.03535).

    Args:
        decoder: the step interface; id 0 is the token before the first, and the end.
        model: over the same ids.
        weight: of the model.
    """

    def __init__(self, decoder: SequenceDecoder, model: NGramModel, weight: float = 0.15) -> None:
        self.decoder, self.model, self.weight = decoder, model, weight
        self.vocabulary = decoder.vocabulary

    def start(self, memory: Float[Tensor, "b n c"], valid: Bool[Tensor, "b n"] | None = None) -> "FusedState":
        """Before the first token."""
        return FusedState(self.decoder.start(memory, valid), [[] for _ in range(len(memory))])

    def step(self, tokens: Int64[Tensor, "b k"], state: "FusedState") -> tuple[Float[Tensor, "b k v"], "FusedState"]:
        """Logits of the token after each of these, from both."""
        logits, inner = self.decoder.step(tokens, state.inner)
        contexts = [self._along(known, row) for known, row in zip(state.contexts, tokens.tolist(), strict=True)]
        count = tokens.shape[1]
        new = np.array([row[-count:] for row in contexts], dtype=np.int64).reshape(-1)
        tables = self.model.tables
        parts = (tables.first, tables.tokens, tables.log_probs, tables.backoff, tables.shorter, tables.unseen)
        said = torch.from_numpy(_next_log_probs(*parts, new, self.vocabulary)).view(logits.shape)
        own = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return own + self.weight * said.to(own), FusedState(inner, contexts)

    def _along(self, contexts: list[int], tokens: list[int]) -> list[int]:
        contexts = list(contexts)
        for token in tokens:  # what starts a row is no part of its text
            contexts.append(follow(self.model.tables, contexts[-1], token)[1] if contexts else self.model.tables.begin)
        return contexts


@dataclass(frozen=True)
class FusedState:
    """The decoder's own state, and of each row the model's state after each of its tokens."""

    inner: DecodingState
    contexts: list[list[int]]

    @property
    def lengths(self) -> Int64[Tensor, "b"]:
        """Tokens that each sequence has so far."""
        return self.inner.lengths

    def select(self, rows: Int64[Tensor, "r"]) -> "FusedState":
        """The state of these sequences."""
        return FusedState(self.inner.select(rows), [self.contexts[row] for row in rows.tolist()])

    def rewind(self, lengths: Int64[Tensor, "b"]) -> "FusedState":
        """The state at these lengths."""
        contexts = [row[:length] for row, length in zip(self.contexts, lengths.tolist(), strict=True)]
        return FusedState(self.inner.rewind(lengths), contexts)


@numba.njit(cache=True, nogil=True)
def _next_log_probs(first, tokens, log_probs, backoff, shorter, unseen, states, vocabulary):  # type: ignore[no-untyped-def]
    """Of every token in each of the states."""
    found = np.full((len(states), vocabulary), np.nan)
    for row in range(len(states)):
        state, total = states[row], 0.0
        while state >= 0:
            for place in range(first[state], first[state + 1]):
                if np.isnan(found[row, tokens[place]]):
                    found[row, tokens[place]] = total + log_probs[place]
            total += backoff[state]
            state = shorter[state]
        for token in range(vocabulary):
            if np.isnan(found[row, token]):
                found[row, token] = total + unseen
    return found
