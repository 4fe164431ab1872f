"""Joint decoding: a decoder writes token by token, and a CTC head over the same columns says what can come next."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from visionkit.errors import ConfigError
from visionkit.generation.beam import beam
from visionkit.generation.ctc_prefix_scores import CTCPrefixes
from visionkit.generation.language import Fused
from visionkit.generation.ngram_lm import NGramModel
from visionkit.generation.result import Decoded
from visionkit.types import DecodingState, SequenceDecoder

SEARCH = partial(beam, normalised=False, width=10)
"""What both say is added up: where they disagree a hypothesis loses, and not only against its neighbours."""


def joint(
    decoder: SequenceDecoder,
    memory: Float[Tensor, "b n c"],
    valid: Bool[Tensor, "b n"] | None = None,
    *,
    columns: Float[Tensor, "b t v"],
    frames: Int64[Tensor, "b"] | None = None,
    weight: float = 0.5,
    search: Callable[..., Decoded] = SEARCH,
    **options: Any,
) -> Decoded:
    """Any search over the tokens of a ``Joint`` (hybrid CTC/attention, Watanabe et al. 2017).

    CTC keeps a decoder that has seen few lines from repeating, leaving out and going on without end. Both must write in
    the same order, also where a line from the right holds a number or a Latin word: CTC that was taught those in the
    order of the columns, from behind, would contradict a decoder that writes the text (see ``tasks.token_reader``).

    Args:
        decoder, memory, valid: the step interface and what it starts from.
        columns: logits of CTC over the same token ids, 0 being the blank, in reading order.
        frames: real columns of each row; all without it.
        weight: of CTC, above 0 and at most 1; the decoder has the rest.
        search: a beam by default; also ``greedy``, ``diverse`` or ``speculative``. It is given the options.

    Raises ConfigError C231 for a weight of 0 or less, or above 1.
    """
    return search(Joint(decoder, columns, frames, weight), memory, valid, **options)


def joint_language(
    decoder: SequenceDecoder,
    memory: Float[Tensor, "b n c"],
    valid: Bool[Tensor, "b n"] | None = None,
    *,
    language_model: NGramModel,
    columns: Float[Tensor, "b t v"],
    frames: Int64[Tensor, "b"] | None = None,
    weight: float = 0.5,
    model_weight: float = 0.15,
    search: Callable[..., Decoded] = SEARCH,
    **options: Any,
) -> Decoded:
    """``joint`` with an n-gram model over the same ids, whose log-probabilities count by ``model_weight``.

    Raises ConfigError C231 for a weight of CTC that is none, or a negative one of the model.
    """
    if not model_weight >= 0:
        key, what = "tasks.handwriting.reader.search.model_weight", f"a weight of {model_weight} is below 0"
        raise ConfigError("C231", key, what, "give 0 for no language; 0.15 is usual")
    both: Any = Joint(decoder, columns, frames, weight)
    return search(Fused(both, language_model, model_weight), memory, valid, **options)


class Joint:
    """A sequence decoder whose logits are the weighted sum of a decoder's and CTC's log-probabilities.

    Args: as of ``joint``. Id 0 is the token before the first, the end, and the blank.

    Raises ConfigError C231 for a weight of 0 or less, or above 1.
    """

    def __init__(
        self,
        decoder: SequenceDecoder,
        columns: Float[Tensor, "b t v"],
        frames: Int64[Tensor, "b"] | None = None,
        weight: float = 0.5,
    ) -> None:
        if not 0 < weight <= 1:
            what = f"a weight of {weight} is no share of CTC"
            raise ConfigError(
                "C231", "tasks.handwriting.reader.search.weight", what, "give more than 0, at most 1; 0.5 is usual"
            )
        self.decoder, self.columns, self.frames, self.weight = decoder, columns, frames, weight
        self.vocabulary = decoder.vocabulary

    def start(self, memory: Float[Tensor, "b n c"], valid: Bool[Tensor, "b n"] | None = None) -> "JointState":
        """Before the first token; a row of ``memory`` for each row of the columns."""
        prefixes = CTCPrefixes.begin(self.columns, self.frames)
        return JointState(self.decoder.start(memory, valid), prefixes, [[] for _ in range(len(memory))])

    def step(self, tokens: Int64[Tensor, "b k"], state: "JointState") -> tuple[Float[Tensor, "b k v"], "JointState"]:
        """Logits of the token after each of these, from both."""
        lengths, prefixes, said = state.lengths, state.prefixes, []
        logits, inner = self.decoder.step(tokens, state.inner)
        for place, column in enumerate(tokens.unbind(1)):
            prefixes = prefixes.extend(column.masked_fill(lengths + place == 0, -1))  # what starts a row is not in it
            said.append(prefixes.next_log_probs())
        own = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
        both = (1 - self.weight) * own + self.weight * torch.stack(said, 1).to(own.dtype)
        written = [[*row, *new] for row, new in zip(state.written, tokens.tolist(), strict=True)]
        return both, JointState(inner, prefixes, written)


@dataclass(frozen=True)
class JointState:
    """The decoder's own state, the prefixes that CTC follows, and their tokens, from the one that starts on."""

    inner: DecodingState
    prefixes: CTCPrefixes
    written: list[list[int]]

    @property
    def lengths(self) -> Int64[Tensor, "b"]:
        """Tokens that each sequence has so far."""
        return self.inner.lengths

    def select(self, rows: Int64[Tensor, "r"]) -> "JointState":
        """The state of these sequences."""
        written = [self.written[row] for row in rows.tolist()]
        return JointState(self.inner.select(rows), self.prefixes.select(rows), written)

    def rewind(self, lengths: Int64[Tensor, "b"]) -> "JointState":
        """The state at these lengths; the prefixes are built up again."""
        written = [row[:length] for row, length in zip(self.written, lengths.tolist(), strict=True)]
        return JointState(self.inner.rewind(lengths), self.prefixes.again([row[1:] for row in written]), written)
