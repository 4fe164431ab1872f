"""Drafts from what was already written: the tokens that followed the last ones when they stood there before."""

from collections.abc import Sequence
from typing import Protocol

from visionkit.generation.scores import require_settings


class Draft(Protocol):
    """Guesses how one sequence goes on. A guess costs nothing but time: the decoder verifies every token."""

    def extend(self, tokens: Sequence[int]) -> None:
        """Takes up what was written since."""

    def propose(self) -> list[int]:
        """Tokens that may follow, in order; none where there is no reason for any."""


class NGramDraft:
    """Prompt lookup (Saxena 2023) over a hash index, with a draft that extends itself.

    The latest earlier place where the longest run of last tokens stood is copied on from. The copy may run into the
    draft itself, so that a period once begun goes on. A draft that was wholly right is followed by one twice as long.
    While drafts would save too little, none is given; they are still made and compared with what comes, until they
    would save enough again.

    Args:
        count: tokens of a draft.
        most: tokens of a draft after several that were wholly right.
        longest, shortest: lengths of the run of last tokens that is looked up, the longest first.
        least: tokens of a draft that must be right, as a running mean, for verifying it to be worth its time.
        memory: weight of the past in that mean.
    """

    def __init__(
        self,
        count: int = 16,
        most: int = 64,
        longest: int = 24,
        shortest: int = 1,
        least: float = 1.0,
        memory: float = 0.8,
    ) -> None:
        require_settings(1, 1.0, **{"draft.count": count, "draft.shortest": shortest})
        self.count, self.most, self.least, self.memory = count, max(count, most), least, memory
        self.orders = range(longest, shortest - 1, -1)
        self.tokens: list[int] = []
        self.follows: dict[tuple[int, ...], int] = {}
        self.right = 4 * least
        """Running mean of the tokens of a draft that were right."""
        self.draft: list[int] = []
        self.matched = 0
        self.size = count

    @property
    def active(self) -> bool:
        """Whether drafts are given."""
        return self.right >= self.least

    def extend(self, tokens: Sequence[int]) -> None:
        """Takes up what was written since, and how much of the draft it was."""
        for token in tokens:
            self._compare(token)
            self.tokens.append(token)
            end = len(self.tokens) - 1
            for order in self.orders:
                if order <= end:
                    self.follows[tuple(self.tokens[end - order : end])] = end

    def propose(self) -> list[int]:
        """A draft; an empty one while too little of them is right."""
        if self.active or not self.draft:
            place, self.matched = self._place(), 0
            self.draft = [] if place is None else self._copied(place)
        return list(self.draft) if self.active else []

    def _compare(self, token: int) -> None:
        if not self.draft:
            return
        if self.draft[self.matched] == token:
            self.matched += 1
            if self.matched < len(self.draft):
                return
        wholly = self.matched == len(self.draft)
        self.size = min(2 * self.size, self.most) if wholly else self.count
        self.right = self.memory * self.right + (1 - self.memory) * self.matched
        self.draft = []

    def _place(self) -> int | None:
        """Where the longest run of last tokens stood before: the place behind it."""
        runs = (tuple(self.tokens[-order:]) for order in self.orders if order <= len(self.tokens))
        return next((self.follows[run] for run in runs if run in self.follows), None)

    def _copied(self, place: int) -> list[int]:
        """Tokens from a place on; behind the last one the draft itself goes on."""
        period = len(self.tokens) - place
        known = self.tokens[place : place + self.size]
        return [known[number % period] for number in range(self.size)]
