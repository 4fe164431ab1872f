"""How a line is read from one map: all columns at once (CTC), or token by token.

A reader owns the decoder, its loss and the procedure that decides; ``TextRecognition`` owns the rest.
"""

import inspect
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torchmetrics import Metric

from visionkit.errors import ConfigError
from visionkit.generation.ngram_lm import character_model
from visionkit.generation.result import Decoded
from visionkit.layers.strides import per_axis
from visionkit.layers.valid import valid_cells
from visionkit.losses.ctc import ctc_loss, unalignable
from visionkit.losses.sequence import token_cross_entropy
from visionkit.metrics.alignment import Unalignable
from visionkit.text.batches import frames_needed, teacher_forced
from visionkit.text.tokenizers import Tokenizer
from visionkit.types import Stride

Line = Float[Tensor, "b c h w"]


class Reader(Protocol):
    """Built as ``reader(channels=, stride=, tokenizer=, right_to_left=)`` of the map that is read.

    A reader may also tell ``attention(line, ids, valid)``, as ``TokenReader`` does.
    """

    def __call__(self, line: Line) -> Tensor:
        """Raw outputs: what ``decide`` needs and an exported model gives."""

    def loss(
        self, line: Line, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"], keys: Sequence[str]
    ) -> dict[str, Float[Tensor, ""]]:
        """Named terms; ``ids`` are the tokens of each text, ``valid`` is at the image's size."""

    def decide(self, outputs: Tensor, valid: Bool[Tensor, "b h w"]) -> Decoded:
        """What was read."""

    def unalignable(self, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"]) -> list[int]:
        """Rows whose text this reader could not give, whatever it learns."""

    def metrics(self) -> list[Metric]:
        """Further metrics of this kind of reader, updated as ``update(predicted, true, unalignable=)``."""


class ColumnReader(nn.Module):
    """CTC: every column says a token or nothing.

    Texts that need more columns than there are take no part in the loss; each is named once, with the figures.
    Columns are read from the right where the script is.

    Args:
        decoder: called as ``decoder(channels=, vocabulary=)``; a map to logits of its columns.
        search: ``(logits b t v, frames b, blank=) -> Decoded``; one that asks for a ``language_model=`` is given that
            of the dataset's characters.
        channels, stride, tokenizer, right_to_left: of the map and of the text.
        guidance: called as ``decoder``; a further loss ``(map, ids, valid of the map) -> scalar``, or None.
        weight, guidance_weight: of the two terms; the guidance takes part in training alone.

    Raises ConfigError C182 for a search over tokens, C198 for one by a language of which the dataset says nothing.
    """

    def __init__(
        self,
        decoder: Callable[..., nn.Module],
        search: Callable[..., Decoded],
        channels: int,
        stride: Stride,
        tokenizer: Tokenizer,
        right_to_left: bool = False,
        guidance: Callable[..., nn.Module] | None = None,
        weight: float = 1.0,
        guidance_weight: float = 1.0,
    ) -> None:
        super().__init__()
        _refuse(search, "decoder", "columns", "generation=ctc_greedy or ctc_beam")
        self.decoder = decoder(channels=channels, vocabulary=tokenizer.size)
        self.guidance = None if guidance is None else guidance(channels=channels, vocabulary=tokenizer.size)
        self.search = _with_language(search, tokenizer)
        self.stride, self.tokenizer, self.right_to_left = stride, tokenizer, right_to_left
        self.weight, self.guidance_weight = weight, guidance_weight
        self._named: set[str] = set()

    def forward(self, line: Line) -> Float[Tensor, "b t v"]:
        """Logits of all columns from left to right."""
        return self.decoder(line)

    def loss(
        self, line: Line, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"], keys: Sequence[str]
    ) -> dict[str, Float[Tensor, ""]]:
        """``ctc``, and ``guidance`` in training where there is one."""
        cells = valid_cells(valid, line.shape[2:], self.stride)
        frames = cells.any(1).sum(1)
        self._name(ids, frames, keys)
        logits = self._in_reading_order(self.decoder(line), frames)
        terms = {"ctc": self.weight * ctc_loss(logits, ids, frames, self.tokenizer.blank)}
        if self.guidance is not None and self.training:
            terms["guidance"] = self.guidance_weight * self.guidance(line, ids, cells)
        return terms

    def decide(self, outputs: Float[Tensor, "b t v"], valid: Bool[Tensor, "b h w"]) -> Decoded:
        """The tokens of the real columns."""
        frames = self._frames(valid, outputs.shape[1])
        return self.search(self._in_reading_order(outputs, frames), frames, blank=self.tokenizer.blank)

    def unalignable(self, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"]) -> list[int]:
        """Rows with more tokens, and blanks between equal ones, than columns."""
        return unalignable(ids, self._frames(valid))

    def metrics(self) -> list[Metric]:
        """How many texts that were."""
        return [Unalignable()]

    def _frames(self, valid: Bool[Tensor, "b h w"], columns: int | None = None) -> Int64[Tensor, "b"]:
        step = self.stride if isinstance(self.stride, int) else self.stride[1]
        size = (1, columns or -(-valid.shape[2] // step))
        return valid_cells(valid.any(1, keepdim=True), size, (1, step)).any(1).sum(1)

    def _in_reading_order(self, logits: Float[Tensor, "b t v"], frames: Int64[Tensor, "b"]) -> Float[Tensor, "b t v"]:
        if not self.right_to_left:
            return logits
        places = torch.arange(logits.shape[1], device=logits.device)
        mirrored = frames[:, None] - 1 - places
        return logits.take_along_dim(torch.where(mirrored >= 0, mirrored, places)[..., None], 1)

    def _name(self, ids: Sequence[Sequence[int]], frames: Int64[Tensor, "b"], keys: Sequence[str]) -> None:
        for row in unalignable(ids, frames):
            if keys[row] not in self._named:
                self._named.add(keys[row])
                have, need = int(frames[row]), frames_needed(ids[row])
                warnings.warn(f"{keys[row]}: its text needs {need} columns and has {have}; left out", stacklevel=2)


class TokenReader(nn.Module):
    """A sequence decoder writes token by token while it looks at the map.

    Args:
        decoder: called as ``decoder(channels=, strides=, spatial_dims=, vocabulary=)``; a SequenceDecoder that also
            says by ``memory(features, valid)`` what of a map it reads.
        search: ``(decoder, memory, valid, start=, end=) -> Decoded``.
        channels, stride, tokenizer, right_to_left: of the map and of the text; the decoder finds its way in any
            direction.
        smoothing: of the labels, 0..1.
        weight: of the loss.

    Raises ConfigError C182 for a search over columns.
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
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        _refuse(search, "logits", "tokens", "generation=greedy, beam, diverse_beam or speculative")
        shape = {"channels": [channels], "strides": [stride], "spatial_dims": 2}
        self.decoder, self.stride = decoder(**shape, vocabulary=tokenizer.size), stride
        self.search, self.tokenizer, self.smoothing, self.weight = search, tokenizer, smoothing, weight

    def forward(self, line: Line) -> Line:
        """The map itself: what comes after it depends on how many tokens there are."""
        return line

    def loss(
        self, line: Line, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"], keys: Sequence[str]
    ) -> dict[str, Float[Tensor, ""]]:
        """``tokens``: cross-entropy of every token given those before it, the end among them."""
        inputs, targets = (part.to(line.device) for part in teacher_forced(ids, self.tokenizer))
        logits, _ = self.decoder.step(inputs, self.decoder.start(*self.decoder.memory([line], valid)))
        return {"tokens": self.weight * token_cross_entropy(logits, targets, self.smoothing)}

    def decide(self, outputs: Line, valid: Bool[Tensor, "b h w"]) -> Decoded:
        """The tokens that the procedure finds."""
        memory, real = self.decoder.memory([outputs], valid)
        return self.search(self.decoder, memory, real, start=self.tokenizer.start, end=self.tokenizer.end)

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
        """None: a sequence may be as long as it wants."""
        return []

    def metrics(self) -> list[Metric]:
        """None."""
        return []


def _refuse(search: Callable[..., Decoded], foreign: str, kind: str, fix: str) -> None:
    """Raises ConfigError C182 for a search that asks for what this kind of reader has not; else it would end a run at
    its first validation.
    """
    if foreign in inspect.signature(search).parameters:
        name = getattr(getattr(search, "func", search), "__name__", "this search")
        raise ConfigError("C182", "tasks.handwriting.reader.search", f"{name} is none for a reader by {kind}", fix)


def _with_language(search: Callable[..., Decoded], tokenizer: Tokenizer) -> Callable[..., Decoded]:
    """The search with the model that it asks for, if it does."""
    wanted = inspect.signature(search).parameters.get("language_model")
    if wanted is None or wanted.default is not inspect.Parameter.empty:
        return search
    ngrams, ids = getattr(tokenizer, "ngrams", ()), getattr(tokenizer, "ids", {})
    if not ngrams:
        fix = "train with ngrams=training (and characters as tokens), or choose generation=ctc_greedy or ctc_beam"
        raise ConfigError("C198", "tasks.handwriting.reader.search", "no n-grams of the text were counted", fix)
    return partial(search, language_model=character_model(ngrams, ids, tokenizer.size))
