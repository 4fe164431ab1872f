"""The written-out gradient against autograd's, and the steps against torch's own LSTM cell."""

import pytest
import torch

from visionkit.layers.attention_recurrence import Recurrence, Weights, steps

NAMES = ("inputs", "asked", "hidden", "cell", "looked", "keys", "memory", "gates", "query", "energy", "place")


def parts(length: int, sequences: int = 3, places: int = 7) -> dict[str, torch.Tensor]:
    """5 channels of memory, 4 of state, 6 in which they are compared, 7 places, 3 around each count."""
    torch.manual_seed(length)
    b, n = sequences, places
    shapes = [(b, length, 16), (b, 6), (b, 4), (b, 4), (b, n), (b, n, 6), (b, n, 5), (16, 9), (6, 4), (6,), (6, 3)]
    return {name: torch.randn(shape, dtype=torch.float64) for name, shape in zip(NAMES, shapes, strict=True)}


def without_place(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in values.items() if name not in ("looked", "place")}


def plain(values: dict[str, torch.Tensor], valid: torch.Tensor | None, rows: int = 1) -> tuple[torch.Tensor, ...]:
    v = values
    weights = Weights(v["gates"], v["query"], v["energy"], v.get("place"))
    begin = (v["hidden"], v["cell"], v.get("looked"))
    return steps(v["inputs"], v["asked"], begin, v["keys"], v["memory"], valid, weights, rows)[:4]


def quick(values: dict[str, torch.Tensor], valid: torch.Tensor | None, rows: int = 1) -> tuple[torch.Tensor, ...]:
    given = [values.get(name) for name in NAMES]
    return Recurrence.apply(*given[:7], valid, rows, *given[7:])


MASK = torch.tensor([[True] * 7, [True, False, True, True, False, False, False], [False] * 7])


@pytest.mark.parametrize("valid", [None, MASK])
@pytest.mark.parametrize("length", [1, 2, 9])
@pytest.mark.parametrize("chosen", [dict, without_place])
def test_values_and_gradients_are_those_of_autograd(length, valid, chosen):
    found = []
    for function in (plain, quick):
        values = {name: value.requires_grad_() for name, value in chosen(parts(length)).items()}
        outputs = function(values, valid)
        torch.manual_seed(1)
        total = sum((output * torch.randn_like(output)).sum() for output in outputs)
        found.append((outputs, torch.autograd.grad(total, list(values.values()))))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("rows", [2, 4, 8])
def test_values_and_gradients_of_several_rows_are_those_of_autograd(rows):
    valid, found = torch.rand(3, 8, generator=torch.Generator().manual_seed(rows)) < 0.7, []
    for function in (plain, quick):
        values = {name: value.requires_grad_() for name, value in parts(4, places=8).items()}
        outputs = function(values, valid, rows)
        torch.manual_seed(1)
        total = sum((output * torch.randn_like(output)).sum() for output in outputs)
        found.append((outputs, torch.autograd.grad(total, list(values.values()))))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("rows", [2, 4])
def test_where_another_row_was_looked_at_does_not_matter(rows):
    """Only the second row is valid; the places beside its ends in the memory belong to others."""
    values, length = parts(1, places=8), 8 // rows
    own = torch.zeros(3, 8, dtype=torch.bool)
    own[:, length : 2 * length] = True
    moved = {**values, "looked": values["looked"].where(own, values["looked"] + 5)}
    assert all(map(torch.equal, plain(values, own, rows), plain(moved, own, rows)))
    assert not torch.allclose(plain(values, own)[3], plain(moved, own)[3])
    moved = {**values, "looked": values["looked"].where(~own, values["looked"] * 5)}
    assert not torch.allclose(plain(values, own, rows)[3], plain(moved, own, rows)[3])


def test_one_output_alone_has_its_gradient():
    for place in range(4):
        values = {name: value.requires_grad_() for name, value in parts(3).items()}
        assert torch.autograd.gradcheck(
            lambda *given, place=place: quick(dict(zip(NAMES, given, strict=True)), MASK)[place], tuple(values.values())
        )


def test_a_step_is_that_of_an_lstm_cell():
    values = parts(4)
    cell = torch.nn.LSTMCell(5, 4).double()
    with torch.no_grad():
        cell.weight_ih.copy_(values["gates"][:, :5])
        cell.weight_hh.copy_(values["gates"][:, 5:])
        cell.bias_ih.zero_()
        hidden, memory_cell = values["hidden"], values["cell"]
        hiddens, cells, contexts, _ = plain(values, MASK)
        for step in range(4):
            cell.bias_hh.zero_()
            expected = []
            for row in range(3):
                cell.bias_hh.copy_(values["inputs"][row, step])
                one = slice(row, row + 1)
                expected.append(cell(contexts[one, step], (hidden[one], memory_cell[one])))
            hidden, memory_cell = (torch.cat(pieces) for pieces in zip(*expected, strict=True))
            torch.testing.assert_close(hidden, hiddens[:, step])
            torch.testing.assert_close(memory_cell, cells[:, step])


def test_what_is_attended_to_is_the_formula_written_out():
    """softmax(energy . tanh(keys + asked + query hidden + place * looked)), with hidden state and attention before
    each step.
    """
    v = parts(3)
    hiddens, _, contexts, attention = plain(v, MASK)
    for row in range(3):
        places = [place for place in range(7) if MASK[row, place]] or list(range(7))  # nothing valid is read evenly
        for step in range(3):
            hidden = hiddens[row, step - 1] if step else v["hidden"][row]
            looked = attention[row, step - 1] if step else v["looked"][row]
            around = [[looked[p] if 0 <= p < 7 else 0.0 for p in (q - 1, q, q + 1)] for q in range(7)]
            asked = v["asked"][row] + v["query"] @ hidden + torch.tensor(around).double() @ v["place"].T
            scores = torch.stack([(v["keys"][row, place] + asked[place]).tanh() @ v["energy"] for place in places])
            shares = scores.exp() / scores.exp().sum() if MASK[row].any() else torch.full((7,), 1 / 7).double()
            torch.testing.assert_close(contexts[row, step], shares @ v["memory"][row, places], check_dtype=False)


def test_no_sequences():
    values = {name: value.requires_grad_() for name, value in parts(3, sequences=0).items()}
    hidden, _, context, _ = quick(values, None)
    assert hidden.shape == (0, 3, 4)
    (hidden.sum() + context.sum()).backward()
    assert all(value.grad is not None and not value.grad.any() for value in values.values())
