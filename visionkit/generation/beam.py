"""Beam search, plain and diverse: the most probable sequences that a few parallel hypotheses find."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visionkit.errors import ConfigError
from visionkit.generation.constraints import FREE, Constraint
from visionkit.generation.result import Decoded
from visionkit.generation.scores import require_settings
from visionkit.generation.search import Beams, Search, ranked
from visionkit.types import SequenceDecoder


def beam(
    decoder: SequenceDecoder,
    memory: Float[Tensor, "b n c"],
    valid: Bool[Tensor, "b n"] | None = None,
    *,
    width: int = 5,
    **options: Any,
) -> Decoded:
    """The best hypothesis of each memory; options as of ``hypotheses``, ``start`` and ``end`` among them."""
    return hypotheses(decoder, memory, valid, width=width, **options)[0]


def diverse(
    decoder: SequenceDecoder,
    memory: Float[Tensor, "b n c"],
    valid: Bool[Tensor, "b n"] | None = None,
    *,
    width: int = 6,
    groups: int = 3,
    diversity: float = 0.5,
    **options: Any,
) -> Decoded:
    """The best hypothesis of diverse beam search; options as of ``hypotheses``, which also gives the others."""
    return hypotheses(decoder, memory, valid, width=width, groups=groups, diversity=diversity, **options)[0]


@torch.no_grad()
def hypotheses(
    decoder: SequenceDecoder,
    memory: Float[Tensor, "b n c"],
    valid: Bool[Tensor, "b n"] | None = None,
    *,
    start: int,
    end: int,
    width: int = 5,
    groups: int = 1,
    diversity: float = 0.0,
    max_length: int = 256,
    length_penalty: float = 0.0,
    temperature: float = 1.0,
    constraint: Constraint = FREE,
    normalised: bool = True,
    count: int = 1,
) -> list[Decoded]:
    """The ``count`` best hypotheses of each memory, best first, no two alike; where there are fewer, the others have a
    probability of 0.

    Ended hypotheses keep their place in the beam, so that a width of 1 is greedy decoding. Diverse beam search
    (Vijayakumar et al. 2016, arXiv 1610.02424) shares the width among groups, which choose in turn: the score of a
    token falls by ``diversity`` for each hypothesis of an earlier group that chose it at the same step, before it is
    divided for its length. The penalty decides what is kept; the hypotheses are ranked without it.

    Args:
        decoder, memory, valid: the step interface and what it starts from.
        start, end: ids of the tokens before the first and after the last.
        width: hypotheses for each memory.
        groups: equally large groups among them.
        diversity: penalty in units of the log-probability.
        max_length: tokens at most, the end among them.
        length_penalty: hypotheses are compared by log-probability / length**length_penalty: 0 prefers the most
            probable, 1 the one with the most probable tokens.
        temperature: divides the logits.
        constraint: which tokens may follow; probabilities are among those.
        normalised: the search adds up logarithms of probabilities; False adds up logits as they are, which must not be
            positive: scores of several models that must agree (see ``joint``). What is given are probabilities.
        count: of hypotheses. The search of a memory stops once nothing can become better than its best ended one,
            or, where more than one is asked for, once all have ended.

    Raises ConfigError: C173, C174 of ``require_settings``, C175 the groups do not share the width equally, C176 the
    length penalty is negative.
    """
    require_settings(max_length, temperature, width=width, groups=groups, count=count)
    if width % groups:
        what = f"{groups} groups cannot share a width of {width} equally"
        raise ConfigError("C175", "search.groups", what, "give a width that is a multiple of the groups")
    if not length_penalty >= 0:
        what = f"a length penalty of {length_penalty} is negative"
        raise ConfigError("C176", "search.length_penalty", what, "give 0 for none, 1 for a mean over tokens")
    search = Search(decoder, constraint, end, temperature, normalised, length_penalty, diversity)
    like = memory.new_empty(0, dtype=torch.promote_types(memory.dtype, torch.float32))
    found = Beams.begin(len(memory), groups, width // groups, like)
    rows, beams = torch.arange(len(memory), device=memory.device), found
    finished: list[tuple[Tensor, Beams]] = []
    if len(rows):
        search.begin(memory, valid, start, width)
    while len(rows):
        beams = search.step(beams)
        over = (beams.ended | (beams.log_prob == -torch.inf)).flatten(1).all(1)
        over |= beams.decided(length_penalty, max_length) if count == 1 else False
        over |= beams.tokens.shape[-1] >= max_length
        if over.any():
            leave, stay = over.nonzero()[:, 0], (~over).nonzero()[:, 0]
            finished.append((rows[leave], beams.select(leave)))
            rows, beams = rows[stay], beams.select(stay)
            search.keep(stay)
    return ranked(finished, len(memory), like, length_penalty, min(count, width))
