"""Attention of a decoder that is asked token by token: to its own past, which it keeps, and to a memory that stays."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.errors import ConfigError

ROOM = 64
"""Tokens that a cache has room for at first; it doubles whenever it is full."""


@dataclass(frozen=True)
class Place:
    """Where the next ``k`` tokens of each row stand.

    Attributes:
        positions: of the tokens in their rows, the first token of a row at 0.
        start: tokens before them where that is the same number in every row, else None.
        used: tokens before them in the longest row.
        stop: tokens of the longest row with them.
        mask: which tokens of its row each may see; None where it is all (``k`` = 1) or all before it (``used`` = 0).
    """

    positions: Int64[Tensor, "b k"]
    start: int | None
    used: int
    stop: int
    mask: Bool[Tensor, "_ 1 k stop"] | None


@dataclass(frozen=True)
class Progress:
    """Tokens that each row has so far: for the device, and as much of it as Python has to know."""

    lengths: Int64[Tensor, "b"]
    longest: int = 0
    even: bool = True
    """Whether all rows are equally long."""

    @classmethod
    def of(cls, lengths: Int64[Tensor, "b"]) -> "Progress":
        """From lengths alone; on a GPU this waits for them."""
        values = lengths.tolist()
        return cls(lengths, max(values, default=0), len(set(values)) <= 1)

    def place(self, count: int) -> Place:
        """The place of ``count`` tokens more."""
        device, stop = self.lengths.device, self.longest + count
        positions = self.lengths[:, None] + torch.arange(count, device=device)
        if self.even and (count == 1 or not self.longest):
            return Place(positions, self.longest, self.longest, stop, None)
        rows = positions[:1] if self.even else positions
        mask = torch.arange(stop, device=device) <= rows[..., None]
        return Place(positions, self.longest if self.even else None, self.longest, stop, mask[:, None])

    def plus(self, count: int) -> "Progress":
        """After ``count`` tokens more."""
        return Progress(self.lengths + count, self.longest + count, self.even)


@dataclass
class KeyValueCache:
    """Keys and values of the tokens that each row has so far, with room for more; the first tokens are not copied."""

    keys: Float[Tensor, "b heads room d"] | None = None
    values: Float[Tensor, "b heads room d"] | None = None

    def append(
        self, keys: Float[Tensor, "b heads k d"], values: Float[Tensor, "b heads k d"], place: Place
    ) -> tuple[Float[Tensor, "b heads stop d"], Float[Tensor, "b heads stop d"]]:
        """Keys and values of all tokens with these. What lies behind a shorter row is of no meaning, but finite."""
        self.keys, self.values = _written(self.keys, keys, place), _written(self.values, values, place)
        return self.keys.narrow(2, 0, place.stop), self.values.narrow(2, 0, place.stop)

    def select(self, rows: Int64[Tensor, "r"]) -> "KeyValueCache":
        """A copy with these rows."""
        if self.keys is None or self.values is None:
            return KeyValueCache()
        return KeyValueCache(self.keys.index_select(0, rows), self.values.index_select(0, rows))


def _written(old: Tensor | None, new: Tensor, place: Place) -> Tensor:
    if old is None or not place.used:
        return new
    if new.requires_grad or old.shape[2] < place.stop:  # what autograd has saved must not change
        room = place.stop if new.requires_grad else max(ROOM, 2 * place.stop)
        larger = old.new_zeros(*old.shape[:2], room, old.shape[3])
        larger[:, :, : place.used] = old[:, :, : place.used]
        old = larger
    if place.start is not None:
        old.narrow(2, place.start, new.shape[2]).copy_(new)
    else:
        rows = torch.arange(len(old), device=old.device)[:, None]
        old[rows, :, place.positions] = new.transpose(1, 2)
    return old


@dataclass(frozen=True)
class Memory:
    """Keys and values of what a decoder reads, computed once for each layer.

    Attributes:
        mask: False where the memory is padding; None where nothing is.
        owners: for each row the number of the memory that it read at first: rows of one beam share it.
    """

    keys: list[Float[Tensor, "b *heads n d"]]
    values: list[Float[Tensor, "b *heads n d"]]
    mask: Bool[Tensor, "b *heads n"] | None
    owners: list[int] = field(default_factory=list)

    def select(self, rows: list[int]) -> "Memory":
        """The memory of these rows; not copied where each row keeps the memory that stood in its place."""
        owners = [self.owners[row] for row in rows]
        if owners == self.owners:
            return self
        index = torch.tensor(rows, device=self.keys[0].device, dtype=torch.int64)
        keys, values = ([x.index_select(0, index) for x in layers] for layers in (self.keys, self.values))
        return Memory(keys, values, None if self.mask is None else self.mask.index_select(0, index), owners)


class CausalAttention(nn.Module):
    """Multi-head self-attention in which a token sees itself and those before it.

    Raises ConfigError C170 where the heads do not divide the channels.
    """

    def __init__(self, channels: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        require_heads(channels, heads)
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Float[Tensor, "b k c"], cache: KeyValueCache, place: Place) -> Float[Tensor, "b k c"]:
        """The tokens after those in the cache, which takes them up."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        keys, values = cache.append(k, v, place)
        causal = place.mask is None and place.used == 0 and x.shape[1] > 1
        rate = self.dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(q, keys, values, place.mask, rate, is_causal=causal)
        return self.proj(x.transpose(1, 2).flatten(2))


class MemoryAttention(nn.Module):
    """Multi-head attention to a memory. Raises ConfigError C170 where the heads do not divide the channels."""

    def __init__(self, channels: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        require_heads(channels, heads)
        self.heads, self.dropout = heads, dropout
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)

    def keys_values(self, memory: Float[Tensor, "b n c"]) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory, ``b heads n d``; they are the same for every token."""
        keys, values = self.kv(memory).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return (keys, values) if memory.requires_grad else (keys.contiguous(), values.contiguous())

    def forward(
        self, x: Float[Tensor, "b k c"], keys: Tensor, values: Tensor, mask: Bool[Tensor, "b 1 1 n"] | None
    ) -> Float[Tensor, "b k c"]:
        """What each token reads."""
        q = self.q(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        rate = self.dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(q, keys, values, mask, rate)
        return self.proj(x.transpose(1, 2).flatten(2))

    def weights(
        self, x: Float[Tensor, "b k c"], keys: Tensor, mask: Bool[Tensor, "b 1 1 n"] | None
    ) -> Float[Tensor, "b heads k n"]:
        """How much each token reads of each place: what a picture of the attention shows."""
        q = self.q(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        scores = q @ keys.transpose(2, 3) * q.shape[-1] ** -0.5
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)


def require_heads(channels: int, heads: int) -> None:
    """Raises ConfigError C170 where the heads do not divide the channels."""
    if heads < 1 or channels % heads:
        what = f"{heads} heads cannot share {channels} channels equally"
        raise ConfigError("C170", "decoder.heads", what, "give a number of heads that divides the width")
