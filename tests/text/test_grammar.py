"""Masks over the next token: whatever logits say, a table comes out."""

import contextlib

import numpy as np
import pytest
import torch
from table_cases import SIMPLE, SPANNING, random_grid

from visionkit.errors import ConfigError
from visionkit.labels import Table
from visionkit.text.grammar import GrammarMask
from visionkit.text.otsl import PLACES, OtslGrammar
from visionkit.text.table_grid import NotRectangular, TableFault, grid_of, structure_of
from visionkit.text.table_tokens import HtmlCode, MergedCode, OtslCode, collect

LABELS = collect([Table(SIMPLE, ()), Table(SPANNING, ())])
CODES = (HtmlCode(), MergedCode(), OtslCode())


def constraint(code, max_length: int) -> GrammarMask:
    vocabulary = code.vocabulary(LABELS)
    return GrammarMask(code.grammar(LABELS), vocabulary, len(vocabulary), max_length)


def written(constraint: GrammarMask, count: int, seed: int, favour: dict[str, float]) -> list[list[str]]:
    """Greedy sequences under random logits, to which a constant is added for some tokens."""
    rng = torch.Generator().manual_seed(seed)
    vocabulary = (*constraint.vocabulary, "")
    bias = torch.tensor([favour.get(token, 0.0) for token in vocabulary])
    tokens = torch.zeros(count, 0, dtype=torch.int64)
    while not (tokens == constraint.end).any(1).all():
        mask = constraint(tokens)
        assert mask.any(1).all()
        logits = torch.randn(count, len(vocabulary), generator=rng) + bias
        chosen = logits.masked_fill(~mask, -torch.inf).argmax(1)
        tokens = torch.cat([tokens, chosen[:, None]], 1)
    assert tokens.shape[1] <= constraint.max_length
    return [[vocabulary[i] for i in row[: row.index(constraint.end)]] for row in tokens.tolist()]


@pytest.mark.parametrize("favour", [{}, {"": -9.0}, {"NL": -9.0, "": -9.0}, {"U": 3.0, "L": 3.0, "NL": -2.0, "": -4.0}])
def test_random_logits_give_otsl_of_valid_tables(favour) -> None:
    code = OtslCode()
    for seed, length in enumerate((3, 7, 40, 150)):
        for tokens in written(constraint(code, length), 24, seed, favour):
            structure = code.decode(tokens)
            grid_of(structure)
            assert code.encode(structure) == tuple(tokens)


def test_without_the_constraint_random_tokens_are_no_table() -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(50):
        try:
            OtslCode().decode([PLACES[i] for i in rng.integers(0, 5, 30)])
        except TableFault:
            refused += 1
    assert refused == 50


@pytest.mark.parametrize("code", CODES[:2], ids=lambda code: type(code).__name__)
def test_random_logits_give_well_nested_html(code) -> None:
    for favour in ({}, {"": -9.0}, {"": -9.0, "</tr>": -3.0, "</thead>": -3.0, "</tbody>": -3.0, "<tr>": 3.0}):
        for tokens in written(constraint(code, 60), 24, 0, favour):
            with contextlib.suppress(NotRectangular):
                grid_of(code.decode(tokens))


@pytest.mark.parametrize("code", CODES, ids=lambda code: type(code).__name__)
def test_every_table_is_allowed(code) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        structure = structure_of(random_grid(rng, int(rng.integers(1, 7)), int(rng.integers(1, 7))))
        labels = collect([Table(structure, ())])
        vocabulary = code.vocabulary(labels)
        tokens = [vocabulary.index(token) for token in code.encode(structure)]
        rules = GrammarMask(code.grammar(labels), vocabulary, len(vocabulary), len(tokens) + 1)
        assert rules.allows(tokens)
        for length, token in enumerate(tokens):
            assert rules(torch.tensor([tokens[:length]]))[0, token]
        assert rules(torch.tensor([tokens]))[0, rules.end]
        assert not rules.allows(tokens[:-1])


def test_rows_of_a_batch_do_not_depend_on_each_other_or_on_what_came_before() -> None:
    rules, fresh = constraint(OtslCode(), 30), constraint(OtslCode(), 30)
    ids = {token: index for index, token in enumerate(rules.vocabulary)}
    rows = [[ids[token] for token in line] for line in (["<thead>", "C", "L"], ["C", "NL", "U"], ["C", "C", "NL"])]
    both = rules(torch.tensor(rows))
    for index, line in enumerate(rows):
        assert torch.equal(both[index], fresh(torch.tensor([line]))[0])
    filled = torch.cat([torch.tensor(rows), torch.full((3, 4), -1)], 1)
    assert torch.equal(rules(filled), both)
    names = [{(*rules.vocabulary, "")[i] for i in line.nonzero()[:, 0].tolist()} for line in both]
    assert names == [{"C", "L", "NL"}, {"NL"}, {"C", "U", ""}]


def test_after_its_end_or_a_fault_a_sequence_can_only_end() -> None:
    rules = constraint(OtslCode(), 30)
    ids = {token: index for index, token in enumerate(rules.vocabulary)}
    tokens = torch.tensor([[rules.end, rules.end], [ids["X"], ids["C"]], [77, -1]])
    mask = rules(tokens, size=20)
    assert mask.shape == (3, 20)
    assert mask.nonzero()[:, 1].tolist() == [rules.end] * 3


def test_cells_are_rectangles_even_where_the_published_rules_would_allow_others() -> None:
    rules = GrammarMask(OtslGrammar(), PLACES, len(PLACES), 30)
    ids = [PLACES.index(token) for token in ("C", "L", "NL", "U")]
    assert rules(torch.tensor([ids]))[0].nonzero()[:, 0].tolist() == [PLACES.index("X")]


def test_a_length_that_holds_no_table_is_refused() -> None:
    with pytest.raises(ConfigError, match="C205"):
        constraint(OtslCode(), 0)
