from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from visionkit.encoders.crnn import CRNN


def tiny(**options) -> CRNN:
    torch.manual_seed(0)
    options = {"channels": (2, 4, 4, 6), "depths": (1, 1, 2, 1), "hidden": 5, "dropout": 0.0, **options}
    return CRNN(**options).eval()


@pytest.mark.parametrize("size", [(32, 64), (16, 4), (48, 8)], ids=str)
@torch.no_grad()
def test_one_map_with_equal_rows(size: tuple[int, int]) -> None:
    encoder = tiny()
    (found,) = encoder(torch.rand(2, 1, *size))
    assert encoder.strides == ((16, 4),)
    assert found.shape == (2, 10, size[0] // 16, size[1] // 4)
    assert torch.equal(found, found[:, :, :1].expand_as(found))


@torch.no_grad()
def test_the_lstm_reads_the_largest_value_of_each_column_both_ways() -> None:
    encoder, image = tiny(layers=1), torch.rand(1, 1, 32, 24)
    columns = encoder.convs(image)[0].max(2).values[0].T
    found = encoder(image)[0][0, :, 0].T
    for side, direction in enumerate((range(6), range(5, -1, -1))):
        suffix = "_reverse" if side else ""
        weights = {name: getattr(encoder.lstm, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh")}
        bias = getattr(encoder.lstm, f"bias_ih_l0{suffix}") + getattr(encoder.lstm, f"bias_hh_l0{suffix}")
        hidden, memory = torch.zeros(5), torch.zeros(5)
        for place in direction:
            gates = weights["weight_ih"] @ columns[place] + weights["weight_hh"] @ hidden + bias
            enter, forget, new, leave = gates.chunk(4)
            memory = forget.sigmoid() * memory + enter.sigmoid() * new.tanh()
            hidden = leave.sigmoid() * memory.tanh()
            torch.testing.assert_close(found[place, 5 * side : 5 * side + 5], hidden)


def test_weights_of_a_trained_network(tmp_path: Path) -> None:
    encoder = tiny()
    save_file({f"encoder.{name}": value for name, value in encoder.state_dict().items()}, tmp_path / "w.safetensors")
    torch.manual_seed(1)
    again = CRNN((2, 4, 4, 6), (1, 1, 2, 1), 5, weights=tmp_path / "w.safetensors")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in encoder.state_dict().items())
