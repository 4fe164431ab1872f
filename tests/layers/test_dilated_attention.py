import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.layers.dilated_attention import DilatedAttention, from_groups, group_sizes, to_groups


def attention(group: tuple[int, ...], dilated: bool, channels: int = 8) -> DilatedAttention:
    torch.manual_seed(0)
    return DilatedAttention(channels, 2, group, dilated).double().eval()


def full(module: DilatedAttention, tokens: Tensor) -> Tensor:
    """Every token attends to every other: torch's own module with the same weights."""
    other = torch.nn.MultiheadAttention(tokens.shape[-1], module.heads, batch_first=True).double().eval()
    other.in_proj_weight, other.in_proj_bias = module.qkv.weight, module.qkv.bias
    other.out_proj.load_state_dict(module.proj.state_dict())
    flat = tokens.flatten(1, -2)
    return other(flat, flat, flat)[0].view_as(tokens)


def reached(module: DilatedAttention, space: tuple[int, ...], place: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Where the output changes when one token does."""
    tokens = torch.randn(1, *space, 8, dtype=torch.float64)
    changed = tokens.clone()
    changed[(0, *place)] += 1
    difference = (module(tokens) - module(changed)).abs().sum(-1)[0]
    return {tuple(index) for index in difference.gt(1e-9).nonzero().tolist()}


def test_a_box_reaches_its_neighbours() -> None:
    assert reached(attention((2, 3), False), (4, 6), (1, 4)) == {(r, c) for r in (0, 1) for c in (3, 4, 5)}


def test_a_lattice_reaches_as_far_as_the_grid() -> None:
    assert reached(attention((2, 3), True), (4, 6), (1, 4)) == {(r, c) for r in (1, 3) for c in (0, 2, 4)}
    assert reached(attention((2, 2, 2), True), (4, 2, 6), (0, 1, 2)) == {
        (d, r, c) for d in (0, 2) for r in (0, 1) for c in (2, 5)
    }


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize("space", [(5, 4), (4, 7), (9, 5), (3, 5, 7), (5, 4, 4), (1, 1, 9)])
def test_padding_is_no_key(space: tuple[int, ...], dilated: bool) -> None:
    """By hand: the groups over the padded grid, of each the real tokens, among which attention is full."""
    module = attention((4,) * len(space), dilated)
    tokens = torch.randn(2, *space, 8, dtype=torch.float64)
    found, expected = module(tokens), torch.empty_like(tokens)
    size = [min(4, length) for length in space]
    padded = [-(-length // n) for length, n in zip(space, size, strict=True)]
    owner = torch.zeros(space, dtype=torch.long)
    for axis, (length, n, count) in enumerate(zip(space, size, padded, strict=True)):
        place = torch.arange(length)
        mine = place % count if dilated else place // n
        owner = owner * 100 + mine.view(-1, *[1] * (len(space) - 1 - axis))
    if len(space) == 3 and max(space[-2:]) < 4:
        owner.zero_()
    for group in owner.unique():
        own = owner == group
        expected[:, own] = full(module, tokens[:, own])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize("space", [(6,), (3, 2), (2, 3, 1), (1, 1, 1)])
def test_one_group_is_full_attention(space: tuple[int, ...], dilated: bool) -> None:
    module, tokens = attention((8,) * len(space), dilated), torch.randn(2, *space, 8, dtype=torch.float64)
    torch.testing.assert_close(module(tokens), full(module, tokens))


@pytest.mark.parametrize("dilated", [False, True])
def test_a_volume_of_one_slice_is_a_picture(dilated: bool) -> None:
    flat, deep = attention((4, 4), dilated), attention((2, 4, 4), dilated)
    deep.load_state_dict(flat.state_dict())
    tokens = torch.randn(1, 6, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(deep(tokens[:, None])[:, 0], flat(tokens))


def test_a_small_grid_changes_nothing_for_later_ones() -> None:
    module, tokens = attention((2, 4, 4), True), torch.randn(1, 4, 8, 8, 8, dtype=torch.float64)
    before = module(tokens)
    module(tokens[:, :1, :2, :3])
    assert torch.equal(module(tokens), before)


def test_sizes_of_groups() -> None:
    assert group_sizes((8, 8, 8), (2, 8, 8)) == [2, 8, 8]
    assert group_sizes((4, 4, 4), (2, 8, 8)) == [4, 4, 4]  # shorter along both last axes: all of it
    assert group_sizes((1, 4, 9), (2, 8, 8)) == [1, 4, 8]


@pytest.mark.parametrize("dilated", [False, True])
def test_groups_and_back(dilated: bool) -> None:
    tokens = torch.arange(2 * 4 * 6 * 6 * 3).view(2, 4, 6, 6, 3)
    grouped = to_groups(tokens, (2, 3, 2), dilated)
    assert grouped.shape == (2, 2 * 2 * 3, 12, 3)
    assert torch.equal(from_groups(grouped, (2, 2, 3), (2, 3, 2), dilated), tokens)


def test_order_within_a_group_is_that_of_the_grid() -> None:
    grid = torch.arange(8).view(1, 2, 4, 1)
    assert to_groups(grid, (2, 2), dilated=False)[0, :, :, 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert to_groups(grid, (2, 2), dilated=True)[0, :, :, 0].tolist() == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_heads_divide_the_channels() -> None:
    with pytest.raises(ConfigError, match="C81"):
        DilatedAttention(10, 3, (4, 4))


def test_half_precision_and_gradients_with_padding() -> None:
    module = DilatedAttention(8, 2, (4, 4), True)
    tokens = torch.randn(1, 5, 6, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = module(tokens)
    assert F.mse_loss(found.float(), torch.zeros(1, 5, 6, 8)).isfinite()
    found.float().sum().backward()
    assert tokens.grad.isfinite().all()
