"""The steps of an LSTM that reads a memory by additive attention, and their gradient.

Autograd would keep some twenty operations of every step and add up the gradient of each weight step by step; written
out, what belongs to the weights is one product of matrices for all steps.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Weights(NamedTuple):
    """What a step multiplies by."""

    gates: Float[Tensor, "4*h c+h"]
    """From what is attended to and the hidden state to the gates i, f, g, o."""
    query: Float[Tensor, "a h"]
    energy: Float[Tensor, " a"]
    place: Float[Tensor, "a k"] | None
    """From where the step before looked, within ``k`` (odd) places; None where that does not count."""


class Steps(NamedTuple):
    """What ``k`` steps of ``b`` sequences came to."""

    hidden: Float[Tensor, "b k h"]
    cell: Float[Tensor, "b k h"]
    context: Float[Tensor, "b k c"]
    """What was attended to."""
    attention: Float[Tensor, "b k n"]
    gates: Float[Tensor, "b k 4*h"]


def steps(
    inputs: Float[Tensor, "b k 4*h"],
    asked: Float[Tensor, "b a"],
    state: tuple[Float[Tensor, "b h"], Float[Tensor, "b h"], Float[Tensor, "b n"] | None],
    keys: Float[Tensor, "b n a"],
    memory: Float[Tensor, "b n c"],
    valid: Bool[Tensor, "b n"] | None,
    weights: Weights,
    rows: int = 1,
    compared: list[Float[Tensor, "b n a"]] | None = None,
) -> Steps:
    """The recurrence, step by step.

    Args:
        inputs: what the tokens and the biases add to the gates.
        asked: what the query is at every step, besides what the hidden state asks.
        state: hidden state, cell and attention before the first step, the last only where its place counts.
        keys, memory, valid: what is attended to; nothing valid is read evenly.
        weights: of the step.
        rows: of a map whose cells the memory holds row by row: what stands at the end of one is not beside the next.
        compared: is given what became of keys and query at each step.
    """
    hidden, cell, attention = state
    made: list[tuple[Tensor, ...]] = []
    hole = None if valid is None else ~valid
    for token in inputs.unbind(1):
        query = torch.addmm(asked, hidden, weights.query.T)
        inner = keys + query[:, None]
        if weights.place is not None and attention is not None:
            inner = inner + _windows(attention, weights.place, rows) @ weights.place.T
        inner = torch.tanh(inner)
        if compared is not None:
            compared.append(inner)
        scores = inner @ weights.energy
        if hole is not None:
            scores = scores.masked_fill(hole, torch.finfo(scores.dtype).min)
        attention = scores.softmax(1)
        context = torch.bmm(attention[:, None], memory)[:, 0]
        raw = torch.addmm(token, torch.cat([context, hidden], 1), weights.gates.T)
        i, f, g, o = raw.chunk(4, 1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        cell = f * cell + i * g
        hidden = o * cell.tanh()
        made.append((hidden, cell, context, attention, torch.cat([i, f, g, o], 1)))
    return Steps(*(torch.stack(parts, 1) for parts in zip(*made, strict=True)))


class Recurrence(torch.autograd.Function):
    """``steps`` with its gradient written out: gives hidden states, cells, what was attended to, and the attention."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, asked: Tensor, *rest: Any) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Takes ``steps``' arguments one by one."""
        hidden, cell, looked, keys, memory, valid, rows, *weights = rest
        compared: list[Tensor] = []
        done = steps(inputs, asked, (hidden, cell, looked), keys, memory, valid, Weights(*weights), rows, compared)
        ctx.rows = rows
        ctx.save_for_backward(hidden, cell, looked, memory, valid, *weights, *done, *compared)
        return done[:4]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Backward through time; the gradients of weights and memory are taken of all steps together."""
        hidden, cell, looked, memory, valid, *rest = ctx.saved_tensors
        weights, done = Weights(*rest[:4]), Steps(*rest[4:9])
        back = _backwards((hidden, cell, looked), memory, valid, weights, ctx.rows, done, rest[9:], gradients)
        d_gates, d_query, d_scores, d_context = back.steps
        before = torch.cat([hidden[:, None], done.hidden[:, :-1]], 1).flatten(0, 1)
        d_keys = (d_scores.sum(1)[..., None] - back.curved) * weights.energy
        d_memory = torch.bmm(done.attention.transpose(1, 2), d_context)
        flat = d_gates.flatten(0, 1).T
        of_gates = torch.cat([flat @ done.context.flatten(0, 1), flat @ before], 1)
        of_query = d_query.flatten(0, 1).T @ before
        of_weights = (of_gates, of_query, back.energy, back.place)
        return d_gates, d_query.sum(1), *back.state, d_keys, d_memory, None, None, *of_weights


class _Back(NamedTuple):
    state: tuple[Tensor, Tensor, Tensor | None]
    """Gradients of the first hidden state, cell and attention."""
    curved: Float[Tensor, "b n a"]
    """Of the keys before the energy, less what the scores' gradients sum to."""
    energy: Float[Tensor, " a"]
    place: Float[Tensor, "a k"] | None
    steps: list[Tensor]
    """Gradients at every step of gates, queries, scores, and what was attended to."""


def _backwards(
    state: tuple[Tensor, Tensor, Tensor | None],
    memory: Tensor,
    valid: Tensor | None,
    weights: Weights,
    rows: int,
    done: Steps,
    compared: Sequence[Tensor],
    gradients: Sequence[Tensor],
) -> _Back:
    """From the last step to the first."""
    d_hiddens, d_cells, d_contexts, d_attentions = gradients
    slopes = _slopes(done.gates, torch.cat([state[1][:, None], done.cell], 1))
    d_hidden, d_cell, d_energy = (torch.zeros_like(value) for value in (*state[:2], weights.energy))
    d_looked = None if state[2] is None else torch.zeros_like(state[2])
    d_place = None if weights.place is None else torch.zeros_like(weights.place)
    curved = memory.new_zeros(*memory.shape[:2], len(d_energy))
    made: list[tuple[Tensor, ...]] = []
    for step in reversed(range(done.hidden.shape[1])):
        through, of_cell, of_output, kept = (slope[:, step] for slope in slopes)
        d_hidden = d_hidden + d_hiddens[:, step]
        d_cell = d_cell + d_cells[:, step] + d_hidden * through
        d_gates = torch.cat([d_cell.repeat(1, 3) * of_cell, d_hidden * of_output], 1)
        d_cell = d_cell * kept
        d_context, d_hidden = (d_gates @ weights.gates).split([memory.shape[2], d_hidden.shape[1]], 1)
        d_context = d_context + d_contexts[:, step]
        shares, wanted = (
            done.attention[:, step],
            torch.bmm(memory, d_context[..., None])[..., 0] + d_attentions[:, step],
        )
        if d_looked is not None:
            wanted = wanted + d_looked
        d_scores = shares * (wanted - (shares * wanted).sum(1, keepdim=True))
        if valid is not None:
            d_scores = d_scores.masked_fill(~valid, 0.0)
        row, squares = d_scores[:, None], compared[step].square()
        d_energy = d_energy + torch.bmm(row, compared[step])[:, 0].sum(0)
        curved.addcmul_(d_scores[..., None], squares)
        d_query = (row.sum(2) - torch.bmm(row, squares)[:, 0]) * weights.energy
        d_hidden = torch.addmm(d_hidden, d_query, weights.query)
        before = done.attention[:, step - 1] if step else state[2]
        if weights.place is not None and d_place is not None and before is not None:
            d_added = d_scores[..., None] * weights.energy * (1 - squares)
            d_place += d_added.flatten(0, 1).T @ _windows(before, weights.place, rows).flatten(0, 1)
            d_looked = _looked(d_added, weights.place, rows)
        made.append((d_gates, d_query, d_scores, d_context))
    return _Back(
        (d_hidden, d_cell, d_looked),
        curved,
        d_energy,
        d_place,
        [torch.stack(parts[::-1], 1) for parts in zip(*made, strict=True)],
    )


def _windows(attention: Float[Tensor, "b n"], place: Float[Tensor, "a k"], rows: int) -> Float[Tensor, "b n k"]:
    """Of each place the attention around it in its row."""
    size = place.shape[1]
    lines = attention.unflatten(1, (rows, -1))
    return F.pad(lines, (size // 2, size // 2)).unfold(2, size, 1).flatten(1, 2)


def _looked(d_added: Float[Tensor, "b n a"], place: Float[Tensor, "a k"], rows: int) -> Float[Tensor, "b n"]:
    """Gradient of the attention from that of what its ``_windows`` added."""
    lines = d_added.unflatten(1, (rows, -1)).flatten(0, 1).transpose(1, 2)
    return F.conv1d(lines, place.flip(1)[None], padding="same").reshape(d_added.shape[:2])


def _slopes(gates: Float[Tensor, "b k 4*h"], cells: Float[Tensor, "b k1 h"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """At every step what a hidden state owes to its cell, a cell to i, f, g, a hidden state to o, and a cell to the one
    before it.
    """
    i, f, g, o = gates.chunk(4, 2)
    seen = cells[:, 1:].tanh()
    of_cell = torch.cat([g * i * (1 - i), cells[:, :-1] * f * (1 - f), i * (1 - g.square())], 2)
    return o * (1 - seen.square()), of_cell, seen * o * (1 - o), f
