"""Transformers that write a table's structure and the text of its cells, on the layers of the shared decoder."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from visionkit.decoders.autoregressive import DecoderLayer, TransformerState
from visionkit.layers.cached_attention import KeyValueCache, Memory, Progress
from visionkit.layers.positions import sinusoids


class TableTransformer(nn.Module):
    """A transformer decoder over tokens with cached keys and values (structure as in TableFormer, Nassar et al. 2022;
    cells as in MTL-TabNet, Ly and Takasu 2023). A ``SequenceDecoder`` of ``visionkit.types``.

    As cell decoder it is told the state of the structure decoder where the cell opens: one more place of its memory.

    Args:
        vocabulary: number of tokens.
        channels: of the memory.
        condition: channels of what a sequence is told at its start; 0 for nothing.
        width: channels of the tokens.
        depth: layers.
        heads: of each attention; they divide the width.
        hidden: channels between the two linear layers of a layer.
        dropout: in training.
    """

    def __init__(
        self,
        vocabulary: int,
        channels: int,
        condition: int = 0,
        width: int = 256,
        depth: int = 3,
        heads: int = 8,
        hidden: int = 1024,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.vocabulary, self.out_channels = vocabulary, width
        self.enter = nn.Linear(channels, width)
        self.told = nn.Linear(condition, width) if condition else None
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(DecoderLayer(width, heads, hidden, dropout, pre_norm=True) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def start(
        self,
        memory: Float[Tensor, "b n c"],
        valid: Bool[Tensor, "b n"] | None = None,
        condition: Float[Tensor, "b d"] | None = None,
    ) -> TransformerState:
        """State before the first token; keys and values of the memory are computed here, once."""
        known = self.enter(memory)
        if self.told is not None and condition is not None:
            known = torch.cat([self.told(condition)[:, None], known], 1)
            valid = None if valid is None else torch.cat([torch.ones_like(valid[:, :1]), valid], 1)
        mask = None if valid is None or bool(valid.all()) else valid[:, None, None]
        pairs = [layer.read.keys_values(known) for layer in self.layers]  # type: ignore[union-attr, operator]
        keys, values = [first for first, _ in pairs], [second for _, second in pairs]
        lengths = torch.zeros(len(memory), dtype=torch.int64, device=memory.device)
        caches = [KeyValueCache() for _ in self.layers]
        return TransformerState(Progress(lengths), caches, Memory(keys, values, mask, list(range(len(memory)))))

    def trace(
        self, tokens: Int64[Tensor, "b k"], state: TransformerState, added: Float[Tensor, "b k e"] | None = None
    ) -> tuple[Float[Tensor, "b k d"], TransformerState]:
        """As ``step``, but what the logits are computed from; ``added`` goes to the tokens' embeddings."""
        place = state.progress.place(tokens.shape[1])
        x = self.embedding(tokens) * self.out_channels**0.5
        x = x if added is None else x + added
        x = self.dropout(x + sinusoids(place.positions, self.out_channels).to(x.dtype))
        for index, (layer, cache) in enumerate(zip(self.layers, state.caches, strict=True)):
            x = layer(x, cache, place, state.memory, index)
        return self.norm(x), TransformerState(state.progress.plus(tokens.shape[1]), state.caches, state.memory)

    def step(
        self, tokens: Int64[Tensor, "b k"], state: TransformerState
    ) -> tuple[Float[Tensor, "b k v"], TransformerState]:
        """Logits after each of ``k`` further tokens, and the new state; the state given must not be used again."""
        outputs, state = self.trace(tokens, state)
        return self.head(outputs), state
