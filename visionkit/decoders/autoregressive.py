"""Transformer that writes a sequence token by token while it reads the feature map of any encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.layers.cached_attention import (
    CausalAttention,
    KeyValueCache,
    Memory,
    MemoryAttention,
    Place,
    Progress,
)
from visionkit.layers.positions import SinusoidalPositions, grid_sinusoids
from visionkit.layers.resample import Resample
from visionkit.layers.valid import valid_cells
from visionkit.types import Features, Stride


@dataclass(frozen=True)
class TransformerState:
    """What the decoder remembers: keys and values of tokens and memory, layer by layer."""

    progress: Progress
    caches: list[KeyValueCache]
    memory: Memory

    @property
    def lengths(self) -> Int64[Tensor, "b"]:
        """Tokens that each sequence has so far."""
        return self.progress.lengths

    def select(self, rows: Int64[Tensor, "r"]) -> "TransformerState":
        """The state of these sequences; itself where they are all of them in their order."""
        indices = rows.tolist()
        if indices == list(range(len(self.lengths))):
            return self
        lengths = self.lengths.index_select(0, rows)
        progress = Progress(lengths, self.progress.longest) if self.progress.even else Progress.of(lengths)
        return TransformerState(progress, [cache.select(rows) for cache in self.caches], self.memory.select(indices))

    def rewind(self, lengths: Int64[Tensor, "b"]) -> "TransformerState":
        """The state at these lengths; the tokens behind them will be overwritten."""
        return TransformerState(Progress.of(lengths), self.caches, self.memory)


class Wrap(nn.Module):
    """A branch beside the identity: ``x + f(norm(x))``, or ``norm(x + f(x))`` where the norm comes last."""

    def __init__(self, channels: int, pre_norm: bool, dropout: float) -> None:
        super().__init__()
        self.norm, self.pre_norm, self.dropout = nn.LayerNorm(channels), pre_norm, nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "b k c"], branch: Callable[[Tensor], Tensor]) -> Float[Tensor, "b k c"]:
        """The sum."""
        added = branch(self.norm(x) if self.pre_norm else x)
        if self.training:  # a step of decoding is so short that idle modules show
            added = self.dropout(added)
        return x + added if self.pre_norm else self.norm(x + added)


class DecoderLayer(nn.Module):
    """Attention to the tokens so far, attention to the memory, two linear layers with GELU between."""

    def __init__(self, channels: int, heads: int, hidden: int, dropout: float, pre_norm: bool) -> None:
        super().__init__()
        self.own = CausalAttention(channels, heads, dropout)
        self.read = MemoryAttention(channels, heads, dropout)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, channels)
        )
        self.wraps = nn.ModuleList(Wrap(channels, pre_norm, dropout) for _ in range(3))

    def forward(
        self, x: Float[Tensor, "b k c"], cache: KeyValueCache, place: Place, memory: Memory, layer: int
    ) -> Float[Tensor, "b k c"]:
        """The tokens ``x`` after those in the cache."""
        keys, values, mask = memory.keys[layer], memory.values[layer], memory.mask
        own, read, mlp = self.wraps
        x = own(x, partial(self.own, cache=cache, place=place))
        x = read(x, partial(self.read, keys=keys, values=values, mask=mask))
        return mlp(x, self.mlp)


class TransformerDecoder(nn.Module):
    """Decoder of Vaswani et al. 2017 over one feature map, with cached keys and values.

    Args:
        channels, strides, spatial_dims: what the encoder offers.
        vocabulary: number of token ids.
        stride: of the map that is read, resampled where the encoder lacks it; None for the coarsest there is.
        width: channels of tokens and memory.
        depth: layers.
        heads: of each attention; they divide the width.
        hidden: channels between the two linear layers; None for four times the width.
        dropout: in training.
        pre_norm: normalise before each branch, and once at the end; False normalises after each branch.
        positions: of tokens, called with the width.
        tied: the output shares its weights with the embedding of the tokens.

    Raises ConfigError: C170 the heads do not divide the width, C171 a sequence is longer than the learned positions.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        vocabulary: int = 256,
        stride: Stride | None = None,
        width: int = 256,
        depth: int = 3,
        heads: int = 8,
        hidden: int | None = None,
        dropout: float = 0.1,
        pre_norm: bool = True,
        positions: Callable[[int], nn.Module] = SinusoidalPositions,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.vocabulary, self.width = vocabulary, width
        self.resample = Resample(channels, strides, [strides[-1] if stride is None else stride], spatial_dims)
        self.stride = self.resample.strides[0]
        self.enter = nn.Linear(self.resample.channels[0], width)
        self.embed = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embed.weight, std=width**-0.5)
        self.positions, self.dropout = positions(width), nn.Dropout(dropout)
        hidden = 4 * width if hidden is None else hidden
        self.layers = nn.ModuleList(DecoderLayer(width, heads, hidden, dropout, pre_norm) for _ in range(depth))
        self.norm = nn.LayerNorm(width) if pre_norm else nn.Identity()
        self.head = None if tied else nn.Linear(width, vocabulary)

    def memory(
        self, features: Features, valid: Bool[Tensor, "b *space"] | None = None
    ) -> tuple[Float[Tensor, "b n c"], Bool[Tensor, "b n"]]:
        """What is read: a vector for each cell of the map in reading order, and which cells hold real pixels.

        ``valid`` is at the image's size; without it every cell is real.
        """
        cells = self.resample(features)[0]
        size = cells.shape[2:]
        x = self.enter(cells.flatten(2).transpose(1, 2))
        x = x + grid_sinusoids(size, self.width, x.device).to(x.dtype)
        if valid is None:
            return self.dropout(x), torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        return self.dropout(x), valid_cells(valid, size, self.stride).flatten(1)

    def start(self, memory: Float[Tensor, "b n c"], valid: Bool[Tensor, "b n"] | None = None) -> TransformerState:
        """State before the first token; keys and values of the memory are computed here, once."""
        pairs = [layer.read.keys_values(memory) for layer in self.layers]  # type: ignore[union-attr, operator]
        mask = None if valid is None or bool(valid.all()) else valid[:, None, None]
        known = Memory([keys for keys, _ in pairs], [values for _, values in pairs], mask, list(range(len(memory))))
        lengths = torch.zeros(len(memory), dtype=torch.int64, device=memory.device)
        return TransformerState(Progress(lengths), [KeyValueCache() for _ in self.layers], known)

    def step(
        self, tokens: Int64[Tensor, "b k"], state: TransformerState
    ) -> tuple[Float[Tensor, "b k v"], TransformerState]:
        """Logits of the token after each of these; the state given must not be used again."""
        place = state.progress.place(tokens.shape[1])
        self._require_room(place.stop)
        x = self.embed(tokens) * self.width**0.5
        x = self.dropout(x + self.positions(place.positions).to(x.dtype))
        for index, (layer, cache) in enumerate(zip(self.layers, state.caches, strict=True)):
            x = layer(x, cache, place, state.memory, index)
        x = self.norm(x)
        logits = F.linear(x, self.embed.weight) if self.head is None else self.head(x)
        return logits, TransformerState(state.progress.plus(tokens.shape[1]), state.caches, state.memory)

    def forward(
        self, memory: Float[Tensor, "b n c"], tokens: Int64[Tensor, "b t"], valid: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b t v"]:
        """Teacher forcing: logits of the token after each of these."""
        return self.step(tokens, self.start(memory, valid))[0]

    @torch.no_grad()
    def attention(
        self, memory: Float[Tensor, "b n c"], tokens: Int64[Tensor, "b t"], valid: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b t n"]:
        """How much the last layer reads of each place when it chooses the token after each of these: mean of heads."""
        read: Any = self.layers[-1].read
        asked: list[Any] = []
        hook = read.register_forward_pre_hook(
            lambda _, given, named: asked.append((*given, *named.values())), with_kwargs=True
        )
        try:
            self(memory, tokens, valid)
        finally:
            hook.remove()
        x, keys, _, mask = asked[0]
        return read.weights(x, keys, mask).mean(1)

    def _require_room(self, length: int) -> None:
        longest = self.positions.longest
        if longest is not None and length > longest:  # type: ignore[operator]
            what = f"a sequence of {length} tokens is longer than the {longest} learned positions"
            fix = f"set decoder.positions.longest of the reader to {length} or more, or search.max_length lower"
            raise ConfigError("C171", "decoder.positions.longest", what, fix)
