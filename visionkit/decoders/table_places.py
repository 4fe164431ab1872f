"""A structure decoder that is told in which row and column of the table it writes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from visionkit.layers.positions import sinusoids
from visionkit.text.table_tokens import Moves
from visionkit.types import AttendingState


@dataclass(frozen=True)
class PlacedState:
    """What a decoder remembers of ``b`` sequences, and where in its table each was since the last step began."""

    inner: Any
    places: Int64[Tensor, "b k 2"]
    """Rows, and cells of the row, before the last step and after each of its tokens."""
    before: Int64[Tensor, "b"]
    """Tokens before the last step."""

    @property
    def lengths(self) -> Int64[Tensor, "b"]:
        """Tokens of each sequence."""
        return self.inner.lengths

    @property
    def attention(self) -> Float[Tensor, "b k n"] | None:
        """How the tokens of the last step attended to the memory, if the decoder says so."""
        return self.inner.attention if isinstance(self.inner, AttendingState) else None

    def select(self, rows: Int64[Tensor, "r"]) -> "PlacedState":
        """The state of these sequences."""
        return PlacedState(self.inner.select(rows), self.places[rows], self.before[rows])

    def rewind(self, lengths: Int64[Tensor, "b"]) -> "PlacedState":
        """The state that each sequence had when it was so long. Raises ValueError for what was before the last step."""
        if bool((lengths < self.before).any()):
            raise ValueError("places are known of the tokens of the last step alone")
        return PlacedState(self.inner.rewind(lengths), self.places, self.before)

    def newest(self) -> Int64[Tensor, "b 2"]:
        """Place after each sequence's last token."""
        return self.places[torch.arange(len(self.places), device=self.places.device), self.lengths - self.before]


class PlacedDecoder(nn.Module):
    """Adds to each token the row of the table, and the cell of the row, that it leads to: a long table need not be
    counted. A ``SequenceDecoder`` of ``visionkit.types``.

    Args:
        decoder: called as ``decoder(vocabulary=, channels=)``; has ``embedding``, and ``trace`` takes what is added.
        moves: which tokens lead to the next row, and on in a row.
        vocabulary: number of tokens.
        channels: of the memory.
        waves: sines and cosines of each of the two numbers.
    """

    def __init__(
        self, decoder: Callable[..., Any], moves: Moves, vocabulary: int, channels: int, waves: int = 32
    ) -> None:
        super().__init__()
        self.decoder = decoder(vocabulary=vocabulary, channels=channels)
        self.vocabulary, self.out_channels, self.waves = vocabulary, self.decoder.out_channels, waves
        self.added = nn.Linear(2 * waves, self.decoder.embedding.embedding_dim)
        for name, ids in moves._asdict().items():
            known = torch.zeros(vocabulary, dtype=torch.bool)
            known[list(ids)] = True
            self.register_buffer(name, known, persistent=False)

    @property
    def head(self) -> nn.Module:
        """From what ``trace`` gives to logits."""
        return self.decoder.head

    def start(self, memory: Float[Tensor, "b n c"], valid: Bool[Tensor, "b n"] | None = None) -> PlacedState:
        """State before the first token."""
        inner = self.decoder.start(memory, valid)
        places = torch.zeros(len(memory), 1, 2, dtype=torch.long, device=memory.device)
        return PlacedState(inner, places, inner.lengths)

    def trace(self, tokens: Int64[Tensor, "b k"], state: PlacedState) -> tuple[Float[Tensor, "b k d"], PlacedState]:
        """As ``step``, but what the logits are computed from."""
        first = state.newest()
        places = moved(first, self.rows[tokens], self.columns[tokens])  # type: ignore[index]
        added = self.added(sinusoids(places, self.waves).flatten(2).to(self.added.weight.dtype))
        outputs, inner = self.decoder.trace(tokens, state.inner, added)
        return outputs, PlacedState(inner, torch.cat([first[:, None], places], 1), state.lengths)

    def step(self, tokens: Int64[Tensor, "b k"], state: PlacedState) -> tuple[Float[Tensor, "b k v"], PlacedState]:
        """Logits after each of ``k`` further tokens, and the new state; the state given must not be used again."""
        outputs, state = self.trace(tokens, state)
        return self.head(outputs), state


def moved(
    first: Int64[Tensor, "b 2"], to_row: Bool[Tensor, "b k"], to_cell: Bool[Tensor, "b k"]
) -> Int64[Tensor, "b k 2"]:
    """Rows, and cells of the row, after each token, from a place on; a new row begins without cells."""
    rows = first[:, :1] + to_row.cumsum(1)
    cells = first[:, 1:] + to_cell.cumsum(1)
    at_row = torch.where(to_row, cells, 0).cummax(1).values
    return torch.stack([rows, cells - at_row], 2)
