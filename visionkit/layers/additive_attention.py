"""Additive attention, and the LSTM that reads a memory by it at every step."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

AttentionWeights = Float[Tensor, "b n"]


class AdditiveAttention(nn.Module):
    """``softmax(v . tanh(W query + U memory))`` over the places of a memory (Bahdanau et al. 2015, appendix A.1.2).

    Args:
        query: channels of the query.
        memory: channels of the memory.
        hidden: channels in which the two are added.
    """

    def __init__(self, query: int, memory: int, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, hidden)
        self.memory = nn.Linear(memory, hidden, bias=False)
        self.energy = nn.Linear(hidden, 1, bias=False)

    def keys(self, memory: Float[Tensor, "b n c"]) -> Float[Tensor, "b n a"]:
        """What of the score depends on the memory alone, so that it is computed once for all steps."""
        return self.memory(memory)

    def forward(
        self,
        query: Float[Tensor, "b q"],
        keys: Float[Tensor, "b n a"],
        memory: Float[Tensor, "b n c"],
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> tuple[Float[Tensor, "b c"], AttentionWeights]:
        """The memory's mean by the weights, and the weights; a memory with no valid place is read evenly."""
        scores = self.energy(torch.tanh(keys + self.query(query)[:, None]))[..., 0]
        if valid is not None:
            scores = scores.masked_fill(~valid, torch.finfo(scores.dtype).min)
        weights = scores.softmax(1)
        return torch.bmm(weights[:, None], memory)[:, 0], weights


@dataclass(frozen=True)
class RecurrentState:
    """What an attention LSTM remembers of ``b`` sequences: the memory that it reads, and its states since the last step
    began, so that the tokens of that step can be taken back.
    """

    memory: Float[Tensor, "b n c"]
    keys: Float[Tensor, "b n a"]
    valid: Bool[Tensor, "b n"] | None
    states: Float[Tensor, "b k 2*h"]
    """Hidden and cell state before the last step and after each of its tokens."""
    before: Int64[Tensor, "b"]
    """Tokens before the last step."""
    lengths: Int64[Tensor, "b"]
    condition: Float[Tensor, "b d"] | None = None
    """What is fed in at every step."""

    def select(self, rows: Int64[Tensor, "r"]) -> "RecurrentState":
        """The state of these sequences."""
        valid = None if self.valid is None else self.valid[rows]
        condition = None if self.condition is None else self.condition[rows]
        parts = (self.states[rows], self.before[rows], self.lengths[rows])
        return RecurrentState(self.memory[rows], self.keys[rows], valid, *parts, condition)

    def rewind(self, lengths: Int64[Tensor, "b"]) -> "RecurrentState":
        """The state that each sequence had when it was so long. Raises ValueError for what was before the last step."""
        if bool((lengths < self.before).any()) or bool((lengths >= self.before + self.states.shape[1]).any()):
            raise ValueError("an LSTM can take back the tokens of its last step alone")
        return replace(self, lengths=lengths)

    def newest(self) -> Float[Tensor, "b 2*h"]:
        """Hidden and cell state after each sequence's last token."""
        return self.states[torch.arange(len(self.lengths), device=self.lengths.device), self.lengths - self.before]


class AttentionLSTM(nn.Module):
    """An LSTM whose input at each step is a token, what its last state attends to, and an optional condition
    (Xu et al. 2015, "Show, Attend and Tell", section 3.1.2).

    Args:
        inputs: channels of a token's embedding.
        memory: channels of the memory.
        hidden: channels of the state.
        attention: channels in which state and memory are compared.
        condition: channels of what is fed in at every step; 0 for nothing.
    """

    def __init__(self, inputs: int, memory: int, hidden: int, attention: int, condition: int = 0) -> None:
        super().__init__()
        self.out_channels = hidden + memory
        self.attention = AdditiveAttention(hidden + condition, memory, attention)
        self.lstm = nn.LSTMCell(inputs + memory + condition, hidden)
        self.initial = nn.Linear(memory + condition, 2 * hidden)

    def start(
        self,
        memory: Float[Tensor, "b n c"],
        valid: Bool[Tensor, "b n"] | None = None,
        condition: Float[Tensor, "b d"] | None = None,
    ) -> RecurrentState:
        """State before the first token, from the memory's mean and the condition."""
        known = torch.ones_like(memory[..., :1]) if valid is None else valid[..., None].to(memory.dtype)
        mean = (memory * known).sum(1) / known.sum(1).clamp(min=1)
        first = self.initial(_joined(mean, condition))
        hidden, cell = first.tanh().chunk(2, 1)
        states = torch.cat([hidden, cell], 1)[:, None]
        lengths = torch.zeros(len(memory), dtype=torch.long, device=memory.device)
        return RecurrentState(memory, self.attention.keys(memory), valid, states, lengths, lengths, condition)

    def forward(
        self, inputs: Float[Tensor, "b k e"], state: RecurrentState
    ) -> tuple[Float[Tensor, "b k d"], RecurrentState]:
        """For each further token the new hidden state and, behind it, what was attended to; and the new state."""
        first = state.newest()
        hidden, cell = first.chunk(2, 1)
        outputs, states = [], [first]
        for token in inputs.unbind(1):
            query = _joined(hidden, state.condition)
            context, _ = self.attention(query, state.keys, state.memory, state.valid)
            hidden, cell = self.lstm(_joined(torch.cat([token, context], 1), state.condition), (hidden, cell))
            outputs.append(torch.cat([hidden, context], 1))
            states.append(torch.cat([hidden, cell], 1))
        lengths = state.lengths + inputs.shape[1]
        new = replace(state, states=torch.stack(states, 1), before=state.lengths, lengths=lengths)
        return torch.stack(outputs, 1), new


def _joined(value: Float[Tensor, "b c"], condition: Float[Tensor, "b d"] | None) -> Float[Tensor, "b e"]:
    return value if condition is None else torch.cat([value, condition], 1)
