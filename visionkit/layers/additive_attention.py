"""Additive attention, and the LSTM that reads a memory by it at every step."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.layers.attention_recurrence import Recurrence, Weights, steps
from visionkit.layers.cached_attention import Memory


class AdditiveAttention(nn.Module):
    """The weights of ``softmax(v . tanh(W query + U memory))`` over the places of a memory (Bahdanau et al. 2015,
    appendix A.1.2); ``attention_recurrence`` computes it.

    Args:
        query: channels of the query.
        memory: channels of the memory.
        hidden: channels in which the two are added.
        location: places of a row around each, of which a convolution tells where the step before looked; 0 for none
            (location-aware attention, Chorowski et al. 2015, arXiv 1506.07503, section 2.1).
    """

    def __init__(self, query: int, memory: int, hidden: int, location: int = 0) -> None:
        super().__init__()
        self.query = nn.Linear(query, hidden)
        self.memory = nn.Linear(memory, hidden, bias=False)
        self.energy = nn.Linear(hidden, 1, bias=False)
        self.place = nn.Linear(2 * (location // 2) + 1, hidden, bias=False) if location else None

    def keys(self, memory: Float[Tensor, "b n c"]) -> Float[Tensor, "b n a"]:
        """What of the score depends on the memory alone, so that it is computed once for all steps."""
        return self.memory(memory)


@dataclass(frozen=True)
class RecurrentState:
    """What an attention LSTM remembers of ``b`` sequences: the memory that it reads, and its states since the last step
    began, so that the tokens of that step can be taken back.
    """

    read: Memory
    """Keys (b n a), the memory itself (b n c) and where it is valid (b n); of one layer."""
    rows: int
    """Of the map that the memory holds."""
    states: Float[Tensor, "b k 2*h"]
    """Hidden and cell state before the last step and after each of its tokens."""
    before: Int64[Tensor, "b"]
    """Tokens before the last step."""
    lengths: Int64[Tensor, "b"]
    asked: Float[Tensor, "b a"]
    """What biases and condition add to every query."""
    added: Float[Tensor, "b 4*h"]
    """What they add to the gates."""
    weights: Weights
    looked: Float[Tensor, "b k n"] | None
    """As ``states``, the attention; None where it does not matter to the next step."""
    attention: Float[Tensor, "b k n"] | None = None
    """How the tokens of the last step attended to the memory."""

    def select(self, rows: Int64[Tensor, "r"]) -> "RecurrentState":
        """The state of these sequences; those that read the same memories as before share them."""
        parts = (self.states[rows], self.before[rows], self.lengths[rows], self.asked[rows], self.added[rows])
        looked = None if self.looked is None else self.looked[rows]
        return RecurrentState(self.read.select(rows.tolist()), self.rows, *parts, self.weights, looked)

    def rewind(self, lengths: Int64[Tensor, "b"]) -> "RecurrentState":
        """The state that each sequence had when it was so long. Raises ValueError for what was before the last step."""
        if bool((lengths < self.before).any()) or bool((lengths >= self.before + self.states.shape[1]).any()):
            raise ValueError("an LSTM can take back the tokens of its last step alone")
        return replace(self, lengths=lengths)

    def newest(self) -> Float[Tensor, "b 2*h"]:
        """Hidden and cell state after each sequence's last token."""
        return self._newest(self.states)

    def newest_look(self) -> Float[Tensor, "b n"] | None:
        """The attention of each sequence's last token."""
        return None if self.looked is None else self._newest(self.looked)

    def _newest(self, values: Float[Tensor, "b k c"]) -> Float[Tensor, "b c"]:
        return values[torch.arange(len(self.lengths), device=self.lengths.device), self.lengths - self.before]


class AttentionLSTM(nn.Module):
    """An LSTM whose input at each step is a token, what its last state attends to, and an optional condition
    (Xu et al. 2015, "Show, Attend and Tell", section 3.1.2).

    Mixed precision does not reach it: hundreds of small steps gain nothing by it and add up its errors.

    Args:
        inputs: channels of a token's embedding.
        memory: channels of the memory.
        hidden: channels of the state.
        attention: channels in which state and memory are compared.
        condition: channels of what is fed in at every step; 0 for nothing.
        location: of the attention (``AdditiveAttention``).
    """

    def __init__(
        self, inputs: int, memory: int, hidden: int, attention: int, condition: int = 0, location: int = 0
    ) -> None:
        super().__init__()
        self.sizes, self.out_channels = [inputs, memory, condition], hidden + memory
        self.attention = AdditiveAttention(hidden + condition, memory, attention, location)
        self.lstm = nn.LSTMCell(inputs + memory + condition, hidden)
        self.initial = nn.Linear(memory + condition, 2 * hidden)

    def start(
        self,
        memory: Float[Tensor, "b n c"],
        valid: Bool[Tensor, "b n"] | Bool[Tensor, "b rows columns"] | None = None,
        condition: Float[Tensor, "b d"] | None = None,
    ) -> RecurrentState:
        """State before the first token, from the memory's mean and the condition.

        A ``valid`` with rows says that the memory holds the cells of a map row by row; else it is one line.
        """
        rows = 1 if valid is None or valid.ndim == 2 else valid.shape[1]
        valid = None if valid is None else valid.flatten(1)
        with torch.autocast(memory.device.type, enabled=False):
            kind = self.initial.weight.dtype
            memory = memory.to(kind)
            told = memory.new_zeros(len(memory), self.sizes[2]) if condition is None else condition.to(kind)
            known = torch.ones_like(memory[..., :1]) if valid is None else valid[..., None].to(kind)
            mean = (memory * known).sum(1) / known.sum(1).clamp(min=1)
            states = self.initial(torch.cat([mean, told], 1)).tanh()[:, None]
            lengths = torch.zeros(len(memory), dtype=torch.long, device=memory.device)
            _, of_memory, of_told = self.lstm.weight_ih.split(self.sizes, 1)
            asks, asks_told = self.attention.query.weight.split([self.lstm.hidden_size, self.sizes[2]], 1)
            asked = F.linear(told, asks_told, self.attention.query.bias)
            added = F.linear(told, of_told, self.lstm.bias_ih + self.lstm.bias_hh)
            place = self.attention.place
            of_place, looked = (
                (None, None) if place is None else (place.weight, memory.new_zeros(memory.shape[:2])[:, None])
            )
            gates = torch.cat([of_memory, self.lstm.weight_hh], 1)
            weights = Weights(gates, asks, self.attention.energy.weight[0], of_place)
            read = Memory([self.attention.keys(memory)], [memory], valid, list(range(len(memory))))
        return RecurrentState(read, rows, states, lengths, lengths, asked, added, weights, looked)

    def forward(
        self, inputs: Float[Tensor, "b k e"], state: RecurrentState
    ) -> tuple[Float[Tensor, "b k d"], RecurrentState]:
        """For each further token the new hidden state and, behind it, what was attended to; and the new state."""
        first = state.newest()
        with torch.autocast(inputs.device.type, enabled=False):
            known = F.linear(inputs.to(first.dtype), self.lstm.weight_ih[:, : self.sizes[0]]) + state.added[:, None]
            read = (state.read.keys[0], state.read.values[0], state.read.mask)
            hidden, cell = first.chunk(2, 1)
            begin = (hidden, cell, state.newest_look())
            if torch.is_grad_enabled():
                given = (known, state.asked, *begin, *read, state.rows, *state.weights)
                hidden, cell, context, attention = Recurrence.apply(*given)
            else:
                done = steps(known, state.asked, begin, *read, state.weights, state.rows)
                hidden, cell, context, attention = done[:4]
        states = torch.cat([first[:, None], torch.cat([hidden, cell], 2)], 1)
        lengths = state.lengths + inputs.shape[1]
        looked = None if begin[2] is None else torch.cat([begin[2][:, None], attention], 1)
        after = {
            "states": states,
            "before": state.lengths,
            "lengths": lengths,
            "attention": attention,
            "looked": looked,
        }
        return torch.cat([hidden, context], 2), replace(state, **after)
