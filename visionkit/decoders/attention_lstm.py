"""LSTM that writes a sequence token by token and looks at the feature map of any encoder before each (Bahdanau et al.
2015, arXiv 1409.0473, over a map as in SAR, Li et al. 2019, arXiv 1811.00751)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from visionkit.layers.positions import grid_sinusoids
from visionkit.layers.resample import Resample
from visionkit.layers.valid import valid_cells
from visionkit.types import Features, Stride


@dataclass(frozen=True)
class Seen:
    """What an attention decoder looks at: cells, their keys, and which are real."""

    cells: Float[Tensor, "b n c"]
    keys: Float[Tensor, "b n k"]
    valid: Bool[Tensor, "b n"] | None

    def select(self, rows: Int64[Tensor, "r"]) -> "Seen":
        """Those of these rows."""
        valid = None if self.valid is None else self.valid[rows]
        return Seen(self.cells[rows], self.keys[rows], valid)


@dataclass(frozen=True)
class LSTMState:
    """The LSTM's state after every token of each sequence, so that tokens can be taken back.

    Attributes:
        seen: what is looked at.
        history: hidden and cell vectors of the layers after 0, 1, 2 ... tokens; of no meaning behind ``lengths``.
        attention: of each step over the cells.
    """

    seen: Seen
    history: Float[Tensor, "b t layers 2 c"]
    attention: Float[Tensor, "b u n"]
    lengths: Int64[Tensor, "b"]

    def select(self, rows: Int64[Tensor, "r"]) -> "LSTMState":
        """The state of these sequences."""
        return LSTMState(self.seen.select(rows), self.history[rows], self.attention[rows], self.lengths[rows])

    def rewind(self, lengths: Int64[Tensor, "b"]) -> "LSTMState":
        """The state at these lengths."""
        return replace(self, lengths=lengths)


class AttentionLSTM(nn.Module):
    """Layers of LSTM over the last token and what was looked at for it; additive attention by the upper layer.

    The first state is a linear layer of the mean of all real cells.

    Args:
        channels, strides, spatial_dims: what the encoder offers.
        vocabulary: number of token ids.
        stride: of the map that is read, resampled where the encoder lacks it; None for the coarsest there is.
        width: channels of tokens, cells and LSTM.
        layers: of the LSTM.
        keys: channels of the attention.
        dropout: of tokens, cells and outputs in training.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        vocabulary: int = 256,
        stride: Stride | None = None,
        width: int = 256,
        layers: int = 1,
        keys: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.vocabulary, self.width = vocabulary, width
        self.resample = Resample(channels, strides, [strides[-1] if stride is None else stride], spatial_dims)
        self.stride = self.resample.strides[0]
        self.enter = nn.Linear(self.resample.channels[0], width)
        self.embed = nn.Embedding(vocabulary, width)
        self.first = nn.Linear(width, layers * 2 * width)
        self.cells = nn.ModuleList(nn.LSTMCell((1 if n else 2) * width, width) for n in range(layers))
        self.key, self.query = nn.Linear(width, keys), nn.Linear(width, keys, bias=False)
        self.score = nn.Linear(keys, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * width, vocabulary)

    def memory(
        self, features: Features, valid: Bool[Tensor, "b *space"] | None = None
    ) -> tuple[Float[Tensor, "b n c"], Bool[Tensor, "b n"]]:
        """What is read: a vector for each cell of the map in reading order, and which cells hold real pixels.

        ``valid`` is at the image's size; without it every cell is real.
        """
        cells = self.resample(features)[0]
        size = cells.shape[2:]
        x = self.enter(cells.flatten(2).transpose(1, 2))
        x = self.dropout(x + grid_sinusoids(size, self.width, x.device).to(x.dtype))
        if valid is None:
            return x, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        return x, valid_cells(valid, size, self.stride).flatten(1)

    def start(self, memory: Float[Tensor, "b n c"], valid: Bool[Tensor, "b n"] | None = None) -> LSTMState:
        """State before the first token; the keys are computed here, once."""
        real = torch.ones_like(memory[..., 0], dtype=torch.bool) if valid is None else valid
        share = real.to(memory.dtype) / real.sum(1, keepdim=True).clamp(min=1)
        mean = (share[:, None] @ memory)[:, 0]
        history = self.first(mean).tanh().view(len(memory), 1, len(self.cells), 2, self.width)
        seen = Seen(memory, self.key(memory), valid)
        nothing = memory.new_zeros(len(memory), 0, memory.shape[1])
        return LSTMState(seen, history, nothing, torch.zeros(len(memory), dtype=torch.int64, device=memory.device))

    def step(self, tokens: Int64[Tensor, "b k"], state: LSTMState) -> tuple[Float[Tensor, "b k v"], LSTMState]:
        """Logits of the token after each of these, one after the other."""
        rows = torch.arange(len(tokens), device=tokens.device)
        layers = state.history[rows, state.lengths]
        outputs, histories, attentions = [], [], []
        for token in self.dropout(self.embed(tokens)).unbind(1):
            share, glimpse = self._look(layers[:, -1, 0], state.seen)
            layers = self._advance(torch.cat([token, glimpse], 1), layers)
            outputs.append(torch.cat([layers[:, -1, 0], glimpse], 1))
            histories.append(layers)
            attentions.append(share)
        history = _appended(state.history, torch.stack(histories, 1), state.lengths + 1)
        attention = _appended(state.attention, torch.stack(attentions, 1), state.lengths)
        logits = self.head(self.dropout(torch.stack(outputs, 1)))
        return logits, LSTMState(state.seen, history, attention, state.lengths + tokens.shape[1])

    @torch.no_grad()
    def attention(
        self, memory: Float[Tensor, "b n c"], tokens: Int64[Tensor, "b t"], valid: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b t n"]:
        """How much is looked at each place to choose the token after each of these."""
        return self.step(tokens, self.start(memory, valid))[1].attention

    def _look(self, hidden: Float[Tensor, "b c"], seen: Seen) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b c"]]:
        scores = self.score((seen.keys + self.query(hidden)[:, None]).tanh())[..., 0]
        if seen.valid is not None:
            scores = scores.masked_fill(~seen.valid, -torch.inf)
        share = scores.softmax(1)
        return share, (share[:, None] @ seen.cells)[:, 0]

    def _advance(self, x: Float[Tensor, "b i"], layers: Float[Tensor, "b l 2 c"]) -> Float[Tensor, "b l 2 c"]:
        new = []
        for cell, (hidden, memory) in zip(self.cells, (layer.unbind(1) for layer in layers.unbind(1)), strict=True):
            x, memory = cell(x, (hidden.contiguous(), memory.contiguous()))
            new.append(torch.stack([x, memory], 1))
        return torch.stack(new, 1)


def _appended(old: Tensor, new: Tensor, lengths: Int64[Tensor, "b"]) -> Tensor:
    """Each row of ``new`` behind the first ``lengths`` entries of the same row of ``old``."""
    longest = int(lengths.max()) if len(lengths) else 0
    both = torch.cat([old, new], 1)
    if old.shape[1] == longest and bool((lengths == longest).all()):
        return both
    places = torch.arange(longest + new.shape[1], device=old.device)
    kept = places < lengths[:, None]
    source = torch.where(kept, places, old.shape[1] + places - lengths[:, None]).clamp(max=both.shape[1] - 1)
    return both[torch.arange(len(old), device=old.device)[:, None], source]
