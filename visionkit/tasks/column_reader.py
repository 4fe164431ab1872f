"""CTC: all columns of a line are read at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torchmetrics import Metric

from visionkit.generation.result import Decoded
from visionkit.layers.valid import valid_cells
from visionkit.losses.ctc import ctc_loss, unalignable
from visionkit.metrics.alignment import Unalignable
from visionkit.tasks.readers import Line, TooLong, as_seen, columns_of, in_reading_order, refuse, with_language
from visionkit.text.reading_order import order_as_spoken, order_from_right
from visionkit.text.tokenizers import CharacterTokenizer, Tokenizer
from visionkit.types import Stride


class ColumnReader(nn.Module):
    """CTC: every column says a token or nothing.

    Texts that need more columns than there are take no part in the loss; each is named once, with the figures.
    Columns are read from the right where the script is. There numbers and Latin words stand from behind, and so they do
    in what is taught; what was read is brought back to the order of the text (``text.reading_order``). That needs a
    token for each character: texts in bytes or subwords are taught in their own order throughout. A search by a
    language knows the order of the text alone, and helps little within such numbers and words.

    Args:
        decoder: called as ``decoder(channels=, vocabulary=)``; a map to logits of its columns.
        search: ``(logits b t v, frames b, blank=) -> Decoded``; one that asks for a ``language_model=`` is given that
            of the dataset's characters.
        channels, stride, tokenizer, right_to_left: of the map and of the text.
        guidance: called as ``decoder``; a further loss ``(map, ids from left to right, valid of the map) -> scalar``,
            or None.
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
        refuse(search, "decoder", "columns", "generation=ctc_greedy or ctc_beam")
        self.decoder = decoder(channels=channels, vocabulary=tokenizer.size)
        self.guidance = None if guidance is None else guidance(channels=channels, vocabulary=tokenizer.size)
        self.search = with_language(search, tokenizer, "generation=ctc_greedy or ctc_beam")
        self.stride, self.tokenizer, self.right_to_left = stride, tokenizer, right_to_left
        self.weight, self.guidance_weight = weight, guidance_weight
        self._turns = right_to_left and isinstance(tokenizer, CharacterTokenizer)
        self._too_long = TooLong()

    def forward(self, line: Line) -> Float[Tensor, "b t v"]:
        """Logits of all columns from left to right."""
        return self.decoder(line)

    def loss(
        self, line: Line, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"], keys: Sequence[str]
    ) -> dict[str, Float[Tensor, ""]]:
        """``ctc``, and ``guidance`` in training where there is one."""
        cells = valid_cells(valid, line.shape[2:], self.stride)
        frames, ids = cells.any(1).sum(1), self._by_columns(ids)
        self._too_long(ids, frames, keys)
        logits = in_reading_order(self.decoder(line), frames, self.right_to_left)
        terms = {"ctc": self.weight * ctc_loss(logits, ids, frames, self.tokenizer.blank)}
        if self.guidance is not None and self.training:
            terms["guidance"] = self.guidance_weight * self.guidance(line, as_seen(ids, self.right_to_left), cells)
        return terms

    def decide(self, outputs: Float[Tensor, "b t v"], valid: Bool[Tensor, "b h w"]) -> Decoded:
        """The tokens of the real columns, in the order of the text."""
        frames = columns_of(valid, self.stride, outputs.shape[1])
        columns = in_reading_order(outputs, frames, self.right_to_left)
        decoded = self.search(columns, frames, blank=self.tokenizer.blank)
        return self._as_spoken(decoded) if self._turns else decoded

    def unalignable(self, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"]) -> list[int]:
        """Rows with more tokens, and blanks between equal ones, than columns."""
        return unalignable(ids, columns_of(valid, self.stride))

    def metrics(self) -> list[Metric]:
        """How many texts that were."""
        return [Unalignable()]

    def _by_columns(self, ids: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
        """Tokens in the order in which the columns show them."""
        if not self._turns:
            return ids
        return [[row[place] for place in order_from_right(self._characters(row))] for row in ids]

    def _as_spoken(self, decoded: Decoded) -> Decoded:
        """What was read by columns in the order of its text."""
        places = torch.arange(decoded.tokens.shape[1], device=decoded.tokens.device).repeat(len(decoded.tokens), 1)
        for own, row in zip(places, decoded.rows(), strict=True):
            own[: len(row)] = own.new_tensor(order_as_spoken(self._characters(row)))
        moved = {"tokens": decoded.tokens.gather(1, places), "log_probs": decoded.log_probs.gather(1, places)}
        return replace(decoded, **moved)

    def _characters(self, row: Sequence[int]) -> list[str]:
        return [self.tokenizer.decode([number]) for number in row]
