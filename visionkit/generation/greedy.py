"""Greedy decoding: the most probable token at every step."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visionkit.generation.constraints import FREE, Constraint
from visionkit.generation.result import Decoded, Written, assembled
from visionkit.generation.scores import next_log_probs, require_settings
from visionkit.types import SequenceDecoder


@torch.no_grad()
def greedy(
    decoder: SequenceDecoder,
    memory: Float[Tensor, "b n c"],
    valid: Bool[Tensor, "b n"] | None = None,
    *,
    start: int,
    end: int,
    max_length: int = 256,
    temperature: float = 1.0,
    constraint: Constraint = FREE,
) -> Decoded:
    """The most probable token at every step until the end token, for all memories at once; ended rows leave.

    Args:
        decoder, memory, valid: the step interface and what it starts from.
        start, end: ids of the tokens before the first and after the last.
        max_length: tokens at most, the end among them.
        temperature: divides the logits, for the probabilities.
        constraint: which tokens may follow; probabilities are among those.

    Raises ConfigError: C173, C174 of ``require_settings``.
    """
    require_settings(max_length, temperature)
    rows = torch.arange(len(memory), device=memory.device)
    tokens = torch.full_like(rows, start)
    written: list[Written] = []
    if not len(rows):
        return assembled(written, memory, end)
    state, rule = decoder.start(memory, valid), constraint.start(len(rows), memory.device)
    for _ in range(max_length):
        logits, state = decoder.step(tokens[:, None], state)
        log_prob, tokens = next_log_probs(logits[:, 0], constraint(rule), temperature, end).max(-1)
        written.append((rows, tokens, log_prob))
        going = (tokens != end).nonzero()[:, 0]
        if not len(going):
            break
        rule = constraint.advance(rule, tokens)
        if len(going) < len(rows):
            rows, tokens, rule, state = rows[going], tokens[going], rule[going], state.select(going)
    return assembled(written, memory, end)
