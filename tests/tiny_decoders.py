"""Random decoders of a few numbers, and decoding written out without caches, batches or beams."""

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from visionkit.decoders.autoregressive import TransformerDecoder

START = END = 0


def tiny_decoder(seed=0, vocabulary=5, sharp=3.0, **options):
    """A transformer in float64, whose choices are clear enough to differ from place to place."""
    torch.manual_seed(seed)
    options = {"width": 8, "depth": 2, "heads": 2, "hidden": 16, **options}
    decoder = TransformerDecoder((3,), (4,), vocabulary=vocabulary, **options).double().eval()
    with torch.no_grad():
        (decoder.embed if decoder.head is None else decoder.head).weight.mul_(sharp)
    return decoder


@dataclass
class RowsState:
    """Hidden states of every row at every length."""

    lengths: Tensor
    hidden: Tensor
    weights: Tensor

    def select(self, rows):
        return RowsState(self.lengths[rows], self.hidden[rows], self.weights[rows])

    def rewind(self, lengths):
        assert (lengths <= self.lengths).all()
        return replace(self, lengths=lengths)


class RowModels:
    """A recurrent network for each row: its memory is its weights. So a batch is as many models as it has rows."""

    vocabulary, width, room = 4, 6, 64

    def memory(self, seed, count):
        generator = torch.Generator().manual_seed(seed)
        return 1.5 * torch.randn(count, self.width + 2 * self.vocabulary, self.width, generator=generator).double()

    def start(self, memory, valid=None):
        lengths = torch.zeros(len(memory), dtype=torch.int64)
        return RowsState(lengths, memory.new_zeros(len(memory), self.room, self.width), memory)

    def step(self, tokens, state):
        recurrent, enter, leave = state.weights.split([self.width, self.vocabulary, self.vocabulary], 1)
        rows, lengths, logits = torch.arange(len(tokens)), state.lengths, []
        hidden = state.hidden.clone()
        for column in tokens.unbind(1):
            before = hidden[rows, lengths]
            after = torch.tanh((recurrent @ before[..., None])[..., 0] + enter[rows, column])
            lengths = lengths + 1
            hidden[rows, lengths] = after
            logits.append((leave @ after[..., None])[..., 0])
        return torch.stack(logits, 1), RowsState(lengths, hidden, state.weights)


def tiny_memory(seed=0, count=3, cells=4, width=8):
    """Memories, the last of them with padding."""
    generator = torch.Generator().manual_seed(seed)
    memory = torch.randn(count, cells, width, generator=generator, dtype=torch.float64)
    valid = torch.ones(count, cells, dtype=torch.bool)
    valid[-1, cells // 2 :] = False
    return memory, valid


def whole(decoder, memory, valid, tokens):
    """Log-probabilities after every token, each prefix computed anew."""
    rows = [decoder(memory, tokens[:, : n + 1], valid)[:, -1] for n in range(tokens.shape[1])]
    return torch.stack(rows, 1).log_softmax(-1)


@torch.no_grad()
def greedy_written_out(decoder, memory, valid, max_length, allowed=None):
    """Ids (the end among them) and their log-probabilities, row by row."""
    results = []
    for row in range(len(memory)):
        tokens, log_probs = [START], []
        while len(log_probs) < max_length:
            prefix = torch.tensor([tokens])
            step = decoder(memory[row : row + 1], prefix, valid[row : row + 1])[0, -1]
            if allowed is not None:
                step = step.masked_fill(~allowed(tokens[1:]), -torch.inf)
            log_prob, token = step.log_softmax(-1).max(-1)
            tokens.append(int(token))
            log_probs.append(float(log_prob))
            if int(token) == END:
                break
        results.append((tokens[1:], log_probs))
    return results


@torch.no_grad()
def every_sequence(decoder, memory, valid, max_length):
    """For each row all sequences with their log-probability: ended ones, and those cut at ``max_length``."""
    others = range(1, decoder.vocabulary)
    sequences = [
        (*body, END) for length in range(max_length) for body in itertools.product(others, repeat=length)
    ] + list(itertools.product(others, repeat=max_length))
    results = []
    for row in range(len(memory)):
        # What fills shorter ones up comes after their end, and is not seen before it.
        inputs = torch.tensor([[START, *sequence[:-1], *[0] * (max_length - len(sequence))] for sequence in sequences])
        many = len(sequences)
        steps = decoder(memory[row].expand(many, -1, -1), inputs, valid[row].expand(many, -1)).log_softmax(-1).tolist()
        results.append(
            {
                sequence: sum(step[token] for step, token in zip(rows, sequence, strict=False))
                for sequence, rows in zip(sequences, steps, strict=True)
            }
        )
    return results
