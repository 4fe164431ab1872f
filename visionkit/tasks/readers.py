"""How a line is read from one map: what every reader offers, and what readers share.

A reader owns the decoder, its loss and the procedure that decides; ``TextRecognition`` owns the rest.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Protocol

from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric

from visionkit.errors import ConfigError
from visionkit.generation.result import Decoded

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


def refuse(search: Callable[..., Decoded], foreign: str, kind: str, fix: str) -> None:
    """Raises ConfigError C182 for a search that asks for what this kind of reader has not; else it would end a run at
    its first validation.
    """
    if foreign in inspect.signature(search).parameters:
        name = getattr(getattr(search, "func", search), "__name__", "this search")
        raise ConfigError("C182", "tasks.handwriting.reader.search", f"{name} is none for a reader by {kind}", fix)
