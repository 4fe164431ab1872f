"""Rows and columns that a structure decoder is told."""

from functools import partial

import pytest
import torch

from visionkit.decoders.edd import TableLSTM
from visionkit.decoders.table_places import PlacedDecoder, moved
from visionkit.decoders.table_transformer import TableTransformer
from visionkit.text.table_tokens import Moves

ROW, CELL, OTHER = 0, 1, 2


def decoder(kind) -> PlacedDecoder:
    torch.manual_seed(0)
    return PlacedDecoder(kind, Moves([ROW], [CELL]), vocabulary=5, channels=4, waves=4).eval()


@pytest.fixture(
    params=[
        partial(TableLSTM, hidden=6, embedding=4, attention=5),
        partial(TableTransformer, width=8, depth=2, heads=2, hidden=12),
    ],
    ids=["lstm", "transformer"],
)
def placed(request) -> PlacedDecoder:
    return decoder(request.param)


def counted(tokens: list[int], row: int, cell: int) -> list[list[int]]:
    places = []
    for token in tokens:
        if token == ROW:
            row, cell = row + 1, 0
        cell += token == CELL
        places.append([row, cell])
    return places


def test_places_are_those_that_one_counts():
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, (50, 12), generator=random)
    first = torch.randint(4, (50, 2), generator=random)
    found = moved(first, tokens == ROW, tokens == CELL)
    assert found.tolist() == [counted(row, *start) for row, start in zip(tokens.tolist(), first.tolist(), strict=True)]
    assert moved(first, tokens[:, :0] == ROW, tokens[:, :0] == CELL).shape == (50, 0, 2)


def test_piece_by_piece_is_as_at_once(placed):
    tokens, memory = torch.randint(5, (3, 9)), torch.randn(3, 7, 4)
    with torch.no_grad():
        whole, _ = placed.step(tokens, placed.start(memory))
        state, parts = placed.start(memory), []
        for piece in (tokens[:, :1], tokens[:, 1:5], tokens[:, 5:]):
            part, state = placed.step(piece, state)
            parts.append(part)
        _, state = placed.step(tokens[:, :2], placed.start(memory))
        _, state = placed.step(tokens[:, 2:6], state)
        taken, rows = torch.tensor([3, 6, 2]), torch.tensor([0, 1, 2, 1])
        state = state.rewind(taken).select(rows)
        logits, state = placed.step(tokens[rows, taken[rows]][:, None], state)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(logits[:, 0], whole[rows, taken[rows]])
    assert state.lengths.tolist() == [4, 7, 3, 7]


def test_what_came_before_the_last_step_stays(placed):
    tokens = torch.randint(5, (2, 4))
    _, state = placed.step(tokens, placed.start(torch.randn(2, 3, 4)))
    _, state = placed.step(tokens, state)
    with pytest.raises(ValueError, match="last step"):
        state.rewind(torch.tensor([3, 4]))


def test_it_is_the_decoder_itself_where_places_say_nothing(placed):
    tokens, memory = torch.randint(5, (3, 9)), torch.randn(3, 7, 4)
    with torch.no_grad():
        told, _ = placed.step(tokens, placed.start(memory))
        placed.added.weight.zero_()
        placed.added.bias.zero_()
        untold, _ = placed.step(tokens, placed.start(memory))
        plain, _ = placed.decoder.step(tokens, placed.decoder.start(memory))
    torch.testing.assert_close(untold, plain)
    assert float((told - plain).abs().max()) > 1e-3
