"""Greedy decoding with drafts: several tokens are verified in one step of the decoder, and the result is the same."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from visionkit.generation.constraints import FREE, Constraint
from visionkit.generation.ngram_draft import Draft, NGramDraft
from visionkit.generation.result import Decoded, filled_rows
from visionkit.generation.scores import next_log_probs, require_settings
from visionkit.types import SequenceDecoder


@torch.no_grad()
def speculative(
    decoder: SequenceDecoder,
    memory: Float[Tensor, "b n c"],
    valid: Bool[Tensor, "b n"] | None = None,
    *,
    start: int,
    end: int,
    max_length: int = 256,
    temperature: float = 1.0,
    constraint: Constraint = FREE,
    draft: Callable[[], Draft] = NGramDraft,
) -> Decoded:
    """The tokens of ``greedy``, in fewer steps where drafts guess them (Leviathan et al. 2023, arXiv 2211.17192).

    A step takes the last token and a draft of each row. The tokens that the decoder would have chosen are kept as
    far as the draft agrees with them, and the one after; the rest is taken back. The result can differ from
    ``greedy`` only where two tokens are equally probable up to rounding, which differs between one token and several.

    Args:
        draft: makes the drafts of one sequence; one is made for each memory.
        decoder, memory, valid, start, end, max_length, temperature, constraint: as of ``greedy``.

    Raises ConfigError: C173, C174 of ``require_settings``.
    """
    require_settings(max_length, temperature)
    rows = [_Row(start, end, max_length, draft()) for _ in range(len(memory))]
    going = list(rows)
    if rows:
        state, rule = decoder.start(memory, valid), constraint.start(len(rows), memory.device)
    while going:
        room = min(row.left for row in going) - 1  # rows stand side by side: none may reach beyond the greatest length
        drafts = [row.guess()[:room] for row in going]
        tokens = _side_by_side([[row.last, *guess] for row, guess in zip(going, drafts, strict=True)], memory.device)
        logits, state = decoder.step(tokens, state)
        allowed, rules = _along(constraint, rule, tokens)
        log_probs, chosen = next_log_probs(logits, allowed, temperature, end).max(-1)
        steps = zip(going, drafts, chosen.tolist(), log_probs.tolist(), strict=True)
        kept = [row.take(guess, choices, values) for row, guess, choices, values in steps]
        stay = [index for index, row in enumerate(going) if not row.over]
        going = [going[index] for index in stay]
        if not going:
            break
        index = torch.tensor(stay, device=memory.device)
        taken = torch.tensor([kept[number] for number in stay], device=memory.device)
        lengths = state.lengths - tokens.shape[1]
        if len(stay) < len(kept):
            state, lengths, chosen = state.select(index), lengths[index], chosen[index]
        if any(kept[number] < tokens.shape[1] for number in stay):
            state = state.rewind(lengths + taken)
        last = chosen.gather(1, taken[:, None] - 1)[:, 0]
        rule = constraint.advance(rules[index, taken - 1], last)
    like = memory.new_empty(0, dtype=torch.promote_types(memory.dtype, torch.float32))
    ids, values = [row.tokens for row in rows], [row.log_probs for row in rows]
    return filled_rows(ids, values, [row.ended for row in rows], like)


class _Row:
    """One sequence: what is written, and what may follow."""

    def __init__(self, start: int, end: int, room: int, draft: Draft) -> None:
        self.last, self.end, self.room, self.draft = start, end, room, draft
        self.tokens: list[int] = []
        self.log_probs: list[float] = []
        self.ended = False

    @property
    def left(self) -> int:
        """How many tokens may still come."""
        return self.room - len(self.tokens)

    @property
    def over(self) -> bool:
        return self.ended or self.left <= 0

    def guess(self) -> list[int]:
        """A draft, cut where the sequence would end."""
        guess = self.draft.propose()
        return guess[: guess.index(self.end)] if self.end in guess else guess

    def take(self, guess: list[int], chosen: list[int], log_probs: list[float]) -> int:
        """Takes the chosen tokens as far as the guess led to them, and tells their number."""
        count = 1
        while count <= len(guess) and guess[count - 1] == chosen[count - 1]:
            count += 1
        new = chosen[:count]
        self.tokens += new
        self.log_probs += log_probs[:count]
        self.last, self.ended = new[-1], new[-1] == self.end
        self.draft.extend(new)
        return count


def _side_by_side(rows: list[list[int]], device: torch.device) -> Int64[Tensor, "b k"]:
    """Rows of different lengths, filled up with their last tokens; nothing depends on those."""
    longest = max(map(len, rows))
    return torch.tensor([row + row[-1:] * (longest - len(row)) for row in rows], device=device)


def _along(
    constraint: Constraint, rule: Int64[Tensor, "b s"], tokens: Int64[Tensor, "b k"]
) -> tuple[Bool[Tensor, "b k v"] | None, Int64[Tensor, "b k s"]]:
    """What may follow each of the tokens, and the constraint's states there; the first one's state is ``rule``."""
    rules, masks = [rule], [constraint(rule)]
    for column in tokens[:, 1:].unbind(1):
        rules.append(constraint.advance(rules[-1], column))
        masks.append(constraint(rules[-1]))
    allowed = [mask for mask in masks if mask is not None]
    return torch.stack(allowed, 1) if allowed else None, torch.stack(rules, 1)
