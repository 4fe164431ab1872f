"""How a line is read from one map: what every reader offers, and what readers share.

A reader owns the decoder, its loss and the procedure that decides; ``TextRecognition`` owns the rest.
"""

import inspect
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchmetrics import Metric

from visionkit.errors import ConfigError
from visionkit.generation.ngram_lm import character_model
from visionkit.generation.result import Decoded
from visionkit.layers.strides import per_axis
from visionkit.layers.valid import valid_cells
from visionkit.losses.ctc import unalignable
from visionkit.text.batches import frames_needed
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


def as_seen(ids: Sequence[Sequence[int]], right_to_left: bool) -> Sequence[Sequence[int]]:
    """Tokens from left to right."""
    return [row[::-1] for row in ids] if right_to_left else ids


def in_reading_order(
    logits: Float[Tensor, "b t v"], frames: Int64[Tensor, "b"], right_to_left: bool
) -> Float[Tensor, "b t v"]:
    """Columns from the right where the script is; what lies behind the ``frames`` of a row stays."""
    if not right_to_left:
        return logits
    places = torch.arange(logits.shape[1], device=logits.device)
    mirrored = frames[:, None] - 1 - places
    return logits.take_along_dim(torch.where(mirrored >= 0, mirrored, places)[..., None], 1)


def refuse(search: Callable[..., Decoded], foreign: str, kind: str, fix: str) -> None:
    """Raises ConfigError C182 for a search that asks for what this kind of reader has not; else it would end a run at
    its first validation.
    """
    if foreign in inspect.signature(search).parameters:
        name = getattr(getattr(search, "func", search), "__name__", "this search")
        raise ConfigError("C182", "tasks.handwriting.reader.search", f"{name} is none for a reader by {kind}", fix)


class _Once:
    """Names each sample once, whatever is said of it later."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def _warn(self, key: str, what: str) -> None:
        if key not in self._named:
            self._named.add(key)
            warnings.warn(f"{key}: {what}", stacklevel=4)


class TooLong(_Once):
    """Names each text once that needs more columns than CTC has for it."""

    def __call__(self, ids: Sequence[Sequence[int]], frames: Int64[Tensor, "b"], keys: Sequence[str]) -> None:
        """Warns with the figures; such texts take no part in the loss."""
        for row in unalignable(ids, frames):
            have, need = int(frames[row]), frames_needed(ids[row])
            self._warn(keys[row], f"its text needs {need} columns and has {have}; left out")


class CutShort(_Once):
    """Names each text once that the search cannot write to its end, as it says by its ``max_length``.

    A search that is not told one is taken to write without end.
    """

    def __init__(self, search: Callable[..., Decoded]) -> None:
        super().__init__()
        own = inspect.signature(search).parameters.get("max_length")
        default = None if own is None or own.default is inspect.Parameter.empty else own.default
        self.longest: int | None = getattr(search, "keywords", {}).get("max_length", default)

    def __call__(self, ids: Sequence[Sequence[int]], keys: Sequence[str]) -> None:
        """Warns with the figures; the texts are learnt nevertheless."""
        for row, key in zip(ids, keys, strict=True):
            if self.longest is not None and len(row) >= self.longest:
                what = f"its text has {len(row)} tokens, and the search stops at {self.longest}, the end among them"
                self._warn(key, f"{what}; set search.max_length to {len(row) + 1} or more")


def columns_of(valid: Bool[Tensor, "b h w"], stride: Stride, columns: int | None = None) -> Int64[Tensor, "b"]:
    """Real columns of each row of a map at this stride."""
    step = per_axis(stride, 2)[1]
    size = (1, columns or -(-valid.shape[2] // step))
    return valid_cells(valid.any(1, keepdim=True), size, (1, step)).any(1).sum(1)


def with_language(search: Callable[..., Decoded], tokenizer: Tokenizer, others: str) -> Callable[..., Decoded]:
    """The search with the language model that it asks for, if it does.

    Raises ConfigError C198 where the dataset says nothing of a language; ``others`` names the searches without one.
    """
    wanted = inspect.signature(search).parameters.get("language_model")
    if wanted is None or wanted.default is not inspect.Parameter.empty:
        return search
    ngrams, ids = getattr(tokenizer, "ngrams", None), getattr(tokenizer, "ids", {})
    if ngrams is None:
        what = f"n-grams are of characters, and the tokens of {type(tokenizer).__name__} are others"
        raise ConfigError("C198", "tasks.handwriting.reader.search", what, f"choose {others}")
    if not ngrams:
        fix = f"add ngrams=training, or choose {others}"
        raise ConfigError("C198", "tasks.handwriting.reader.search", "no n-grams of the text were counted", fix)
    return partial(search, language_model=character_model(ngrams, ids, tokenizer.size))
