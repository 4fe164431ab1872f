"""Constraints: which tokens may follow, as a mask over the next token given a state that each token advances.

A constraint's state is one tensor with a row for each sequence, so that beams branch and drafts are taken back by
indexing. The state after a token is a function of the state before it and of the token.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from visionkit.errors import ConfigError


class Constraint(Protocol):
    """Which tokens may follow. Where none may, the sequence must end."""

    def start(self, count: int, device: torch.device) -> Int64[Tensor, "b s"]:
        """State of ``count`` sequences without tokens (the start token does not count)."""

    def advance(self, state: Int64[Tensor, "b s"], tokens: Int64[Tensor, "b"]) -> Int64[Tensor, "b s"]:
        """State after one more token of each sequence; any token may be asked for, even one that may not follow."""

    def __call__(self, state: Int64[Tensor, "b s"]) -> Bool[Tensor, "b v"] | None:
        """True where a token may follow; None where every one may."""


class Free:
    """No constraint."""

    def start(self, count: int, device: torch.device) -> Int64[Tensor, "b 0"]:
        """Nothing to remember."""
        return torch.zeros(count, 0, dtype=torch.int64, device=device)

    def advance(self, state: Int64[Tensor, "b 0"], tokens: Int64[Tensor, "b"]) -> Int64[Tensor, "b 0"]:
        """Still nothing."""
        return state

    def __call__(self, state: Int64[Tensor, "b 0"]) -> None:
        """Everything may follow."""


class Automaton:
    """A finite automaton over token ids, which begins in state 0.

    Args:
        table: the state after each token in each state, -1 where the token may not follow.

    Raises ConfigError C172 where the table names a state that it lacks.
    """

    def __init__(self, table: Sequence[Sequence[int]] | Int64[Tensor, "s v"]) -> None:
        self.table = torch.as_tensor(table, dtype=torch.int64)
        if (
            self.table.ndim != 2
            or not len(self.table)
            or not -1 <= int(self.table.min()) <= int(self.table.max()) < len(self.table)
        ):
            what = f"the table of shape {list(self.table.shape)} is no automaton"
            raise ConfigError("C172", "constraint.table", what, "give a row of next states for each state, -1 for none")

    def start(self, count: int, device: torch.device) -> Int64[Tensor, "b 1"]:
        """The first state."""
        self.table = self.table.to(device)
        return torch.zeros(count, 1, dtype=torch.int64, device=device)

    def advance(self, state: Int64[Tensor, "b 1"], tokens: Int64[Tensor, "b"]) -> Int64[Tensor, "b 1"]:
        """The next state; a token that may not follow leads to the first."""
        return self.table[state[:, 0], tokens].clamp(min=0)[:, None]

    def __call__(self, state: Int64[Tensor, "b 1"]) -> Bool[Tensor, "b v"]:
        """Tokens that lead to a state."""
        return self.table[state[:, 0]] >= 0


class OnPrefix:
    """A constraint written as a function of the tokens so far.

    Args:
        allowed: from tokens, rows filled up with -1, to what may follow them.
        longest: tokens that are remembered; generation may not go on for longer.
    """

    def __init__(self, allowed: Callable[[Int64[Tensor, "b t"]], Bool[Tensor, "b v"]], longest: int) -> None:
        self.allowed, self.longest = allowed, longest

    def start(self, count: int, device: torch.device) -> Int64[Tensor, "b t"]:
        """No tokens; the last column counts them."""
        state = torch.full((count, self.longest + 1), -1, dtype=torch.int64, device=device)
        state[:, -1] = 0
        return state

    def advance(self, state: Int64[Tensor, "b t"], tokens: Int64[Tensor, "b"]) -> Int64[Tensor, "b t"]:
        """With one token more; those beyond ``longest`` are forgotten."""
        state = state.clone()
        state.scatter_(1, state[:, -1:].clamp(max=self.longest - 1), tokens[:, None])
        state[:, -1] += 1
        return state

    def __call__(self, state: Int64[Tensor, "b t"]) -> Bool[Tensor, "b v"]:
        """What the function says of the tokens so far."""
        return self.allowed(state[:, :-1])


FREE = Free()
