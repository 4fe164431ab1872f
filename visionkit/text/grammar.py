"""Which tokens may come next: a mask over the vocabulary, from the tokens so far and the rules of a grammar."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from visionkit.errors import ConfigError

_REMEMBERED = 4096


class Grammar(Protocol):
    """An automaton over tokens; places are hashable and never change."""

    start: Hashable

    def next(self, place: Hashable) -> Mapping[str, Hashable | None]:
        """The tokens that may follow, each with the place after it; ``""`` ends the sequence."""

    def shortest(self, place: Hashable) -> int:
        """How few tokens can end the sequence, the end itself included."""


class GrammarMask:
    """Masks logits so that every sequence obeys a grammar and ends in time.

    It has no state of its own but a memory of beginnings that it has seen, so beams may branch, end and be taken back.

    Args:
        grammar: the rules.
        vocabulary: tokens in the order of their ids; ids beyond (padding, begin) are never allowed but for ``end``.
        end: id of the token that ends a sequence.
        max_length: tokens of a sequence with its end; whatever could not end in time is not begun.

    Raises ConfigError C205 where not even the shortest sequence can end in time.
    """

    def __init__(self, grammar: Grammar, vocabulary: Sequence[str], end: int, max_length: int) -> None:
        self.grammar, self.end, self.max_length = grammar, end, max_length
        self.vocabulary = tuple(vocabulary)
        self._ids = {token: index for index, token in enumerate(self.vocabulary)} | {"": end}
        self._places: OrderedDict[bytes, Hashable | None] = OrderedDict()
        if max_length < grammar.shortest(grammar.start):
            what = f"no table fits into {max_length} tokens"
            raise ConfigError("C205", "max_length", what, "set it to 100 or more")

    def __call__(self, tokens: Int64[Tensor, "b t"], size: int | None = None) -> Bool[Tensor, "b v"]:
        """True where a token may come next.

        Args:
            tokens: those so far without the one that begins every sequence; rows may be filled up with negative
                numbers, and what follows an end is not looked at.
            size: of the vocabulary that logits are over, with padding and the like; by default up to ``end`` or the
                last token.

        After its end, and after tokens that break the rules, a sequence may only end.
        """
        size = max(len(self.vocabulary), self.end + 1) if size is None else size
        rows = tokens.detach().cpu().numpy()
        mask = np.zeros((len(rows), size), dtype=bool)
        for allowed, row in zip(mask, rows, strict=True):
            allowed[self._allowed(row)] = True
        return torch.from_numpy(mask).to(tokens.device)

    def allows(self, tokens: Sequence[int]) -> bool:
        """Whether a whole sequence without its end obeys the rules."""
        place = self._place(np.asarray(tokens, dtype=np.int64))
        return place is not None and "" in self.grammar.next(place)

    def _allowed(self, row: np.ndarray) -> list[int]:
        row = row[row >= 0]
        place = self._place(row)
        if place is None:
            return [self.end]
        room = self.max_length - len(row) - 1
        options = self.grammar.next(place)
        fits = (
            self._ids[token]
            for token, after in options.items()
            if token in self._ids and (after is None or self.grammar.shortest(after) <= room)
        )
        return list(fits) or [self.end]

    def _place(self, row: np.ndarray) -> Hashable | None:
        """The place after these tokens, from the longest beginning that is remembered."""
        keys = row.astype(np.int32)
        known = len(keys)
        while known and keys[:known].tobytes() not in self._places:
            known -= 1
        place = self._places[keys[:known].tobytes()] if known else self.grammar.start
        for length in range(known, len(keys)):
            token = int(keys[length])
            text = self.vocabulary[token] if 0 <= token < len(self.vocabulary) and token != self.end else ""
            options = self.grammar.next(place) if place is not None else {}
            place = options.get(text)
            self._places[keys[: length + 1].tobytes()] = place
        while len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)
        return place
