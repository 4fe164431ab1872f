"""A line is read token by token."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torchmetrics import Metric

from visionkit.errors import ConfigError
from visionkit.generation.result import Decoded
from visionkit.layers.strides import per_axis
from visionkit.layers.valid import valid_cells
from visionkit.losses.ctc import unalignable
from visionkit.losses.sequence import token_cross_entropy
from visionkit.metrics.alignment import Unalignable
from visionkit.tasks.readers import (
    CutShort,
    Line,
    TooLong,
    as_seen,
    columns_of,
    in_reading_order,
    refuse,
    with_language,
)
from visionkit.text.batches import teacher_forced
from visionkit.text.tokenizers import Tokenizer
from visionkit.types import Stride


class TokenReader(nn.Module):
    """A sequence decoder writes token by token while it looks at the map.

    It writes in the order of the text, also the numbers and Latin words of lines from the right, which stand there from
    behind. So does its guidance, unlike a ``ColumnReader``: joint decoding asks both for the same next token, and could
    not if CTC had learnt such runs in the order of the columns. CTC aligns them less well for that.

    Args:
        decoder: called as ``decoder(channels=, strides=, spatial_dims=, vocabulary=)``; a SequenceDecoder that also
            says by ``memory(features, valid)`` what of a map it reads.
        search: ``(decoder, memory, valid, start=, end=) -> Decoded``; one that asks for ``columns=`` and ``frames=`` is
            given what the guidance says of the columns, one that asks for a ``language_model=`` that of the
            dataset's characters.
        channels, stride, tokenizer, right_to_left: of the map and of the text; the decoder finds its way in any
            direction.
        smoothing: of the labels, 0..1.
        guidance: called as ``guidance(channels=, vocabulary=)``; a further loss ``(map, ids from left to right, valid
            of the map) -> scalar``, or None. With CTC the map learns letters before the decoder knows where to look
            (Barrere et al. 2022, "A light transformer-based architecture for handwritten text recognition").
        weight, guidance_weight: of the two terms; the guidance's is taken in training alone.

    Raises ConfigError: C182 a search over columns, C198 one by a language of which the dataset says nothing, C232 one
    over tokens and columns of which no guidance tells.
    """

    def __init__(
        self,
        decoder: Callable[..., Any],
        search: Callable[..., Decoded],
        channels: int,
        stride: Stride,
        tokenizer: Tokenizer,
        right_to_left: bool = False,
        smoothing: float = 0.0,
        guidance: Callable[..., nn.Module] | None = None,
        weight: float = 1.0,
        guidance_weight: float = 0.5,
    ) -> None:
        super().__init__()
        refuse(search, "logits", "tokens", "generation=greedy, beam, diverse_beam, speculative or joint")
        shape = {"channels": [channels], "strides": [stride], "spatial_dims": 2}
        self.decoder, self.stride = decoder(**shape, vocabulary=tokenizer.size), stride
        self.guidance = None if guidance is None else guidance(channels=channels, vocabulary=tokenizer.size)
        self.search = with_language(search, tokenizer, "generation=joint or beam")
        self.tokenizer, self.smoothing = tokenizer, smoothing
        self.right_to_left, self.weight, self.guidance_weight = right_to_left, weight, guidance_weight
        self._too_long, self._cut_short = TooLong(), CutShort(search)
        self.asks_columns = "columns" in inspect.signature(search).parameters
        if self.asks_columns and not hasattr(self.guidance, "logits"):
            what = "joint decoding asks what CTC says of the columns, and no guidance was trained to tell"
            fix = "train with guidance=ctc (start_from=RUN takes up what a run has learnt), or choose generation=beam"
            raise ConfigError("C232", "tasks.handwriting.reader.search", what, fix)

    def forward(self, line: Line) -> Line:
        """The map itself: what comes after it depends on how many tokens there are."""
        return line

    def loss(
        self, line: Line, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"], keys: Sequence[str]
    ) -> dict[str, Float[Tensor, ""]]:
        """``tokens``: cross-entropy of every token given those before it, the end among them; ``guidance`` in training
        where there is one. Texts that the search would cut are named once each.
        """
        self._cut_short(ids, keys)
        inputs, targets = (part.to(line.device) for part in teacher_forced(ids, self.tokenizer))
        logits, _ = self.decoder.step(inputs, self.decoder.start(*self.decoder.memory([line], valid)))
        terms = {"tokens": self.weight * token_cross_entropy(logits, targets, self.smoothing)}
        if self.guidance is not None and self.training:
            cells = valid_cells(valid, line.shape[2:], self.stride)
            if hasattr(self.guidance, "logits"):
                self._too_long(ids, cells.any(1).sum(1), keys)
            terms["guidance"] = self.guidance_weight * self.guidance(line, as_seen(ids, self.right_to_left), cells)
        return terms

    def decide(self, outputs: Line, valid: Bool[Tensor, "b h w"]) -> Decoded:
        """The tokens that the procedure finds."""
        memory, real = self.decoder.memory([outputs], valid)
        columns = self._columns(outputs, valid) if self.asks_columns else {}
        return self.search(self.decoder, memory, real, start=self.tokenizer.start, end=self.tokenizer.end, **columns)

    def _columns(self, line: Line, valid: Bool[Tensor, "b h w"]) -> dict[str, Tensor]:
        guidance: Any = self.guidance
        cells = valid_cells(valid, line.shape[2:], self.stride)
        frames = cells.any(1).sum(1)
        return {"columns": in_reading_order(guidance.logits(line, cells), frames, self.right_to_left), "frames": frames}

    def attention(
        self, line: Line, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, "b t w"] | None:
        """How much the decoder looks at each column of pixels for each token; None where it cannot tell.

        Rows with fewer tokens are filled up with NaN.
        """
        if not hasattr(self.decoder, "attention"):
            return None
        memory, real = self.decoder.memory([line], valid)
        inputs = teacher_forced(ids, self.tokenizer)[0].to(line.device)
        shares = self.decoder.attention(memory, inputs, real)[:, :-1].float()
        step, of_map = per_axis(self.decoder.stride, 2)[1], per_axis(self.stride, 2)[1]
        columns = shares.unflatten(2, (-1, -(-line.shape[3] * of_map // step))).sum(2)
        pixels = columns.repeat_interleave(step, 2)[..., : valid.shape[2]] / step
        for row, own in zip(pixels, ids, strict=True):
            row[len(own) :] = torch.nan
        return pixels

    def unalignable(self, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"]) -> list[int]:
        """None, for no map is too narrow (``loss`` names what the search would cut); where the search asks the columns,
        what they cannot give.
        """
        return unalignable(ids, columns_of(valid, self.stride)) if self.asks_columns else []

    def metrics(self) -> list[Metric]:
        """How many texts that were, where there can be some."""
        return [Unalignable()] if self.asks_columns else []
