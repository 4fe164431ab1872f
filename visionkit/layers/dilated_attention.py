"""Attention within groups of tokens: contiguous boxes (local scope) or lattices over the whole grid (global scope)."""

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.errors import ConfigError


class DilatedAttention(nn.Module):
    """Multi-head self-attention of Wu et al. 2022, "D-Former", section 3.3; its cost is linear in the tokens.

    Args:
        channels: channels of the tokens.
        heads: number of heads, which divides the channels.
        group: tokens of a group along each axis.
        dilated: False: a group is a box of neighbours (LS-MSA). True: its tokens lie as far apart as the grid
            allows, the same distance along each axis (GS-MSA).

    Raises ConfigError C81 where the heads do not divide the channels.
    """

    def __init__(self, channels: int, heads: int, group: Sequence[int], dilated: bool = False) -> None:
        super().__init__()
        if channels % heads:
            what = f"{heads} heads cannot share {channels} channels equally"
            raise ConfigError("C81", "heads", what, "give numbers of heads that divide the channels")
        self.heads, self.group, self.dilated = heads, tuple(group), dilated
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, tokens: Float[Tensor, "b *space c"]) -> Float[Tensor, "b *space c"]:
        """Each token attends to those of its group; what pads the far ends of the axes is no key."""
        space = tokens.shape[1:-1]
        sizes = group_sizes(space, self.group)
        counts = [(length + size - 1) // size for length, size in zip(space, sizes, strict=True)]
        x = to_groups(pad_end(tokens, [n * size for n, size in zip(counts, sizes, strict=True)]), sizes, self.dilated)
        b, groups, length, _ = x.shape
        q, k, v = self.qkv(x).view(b * groups, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mask = _real(space, counts, sizes, self.dilated, tokens.device)
        if mask is not None:
            mask = mask.expand(b, groups, length).reshape(b * groups, 1, 1, length)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = self.proj(x.transpose(1, 2).reshape(b, groups, length, -1))
        x = from_groups(x, counts, sizes, self.dilated)
        return cut_end(x, space)


def group_sizes(space: Sequence[int], group: Sequence[int]) -> list[int]:
    """Tokens of a group along each axis: the group's, cut to the grid.

    Where the grid is shorter than the group along both of its last axes, all of it is one group, as in the released
    network. In an export the sizes stay fixed: padding and its mask do to pictures what cutting does.
    """
    if torch.compiler.is_exporting():
        return list(group)
    if all(length < size for length, size in zip(space[-2:], group[-2:], strict=True)):
        return list(space)
    return [min(pair) for pair in zip(space, group, strict=True)]


def to_groups(
    tokens: Float[Tensor, "b *space c"], sizes: Sequence[int], dilated: bool
) -> Float[Tensor, "b groups tokens c"]:
    """Tokens by group. With n = length / size groups along an axis, group a has the tokens a * size + i, or, dilated,
    a + i * n, for i below size.
    """
    counts = [length // size for length, size in zip(tokens.shape[1:-1], sizes, strict=True)]
    pairs = zip(sizes, counts, strict=True) if dilated else zip(counts, sizes, strict=True)
    x = tokens.reshape(tokens.shape[0], *(n for pair in pairs for n in pair), tokens.shape[-1])
    first, second = range(1, x.ndim - 1, 2), range(2, x.ndim - 1, 2)
    groups, inside = (second, first) if dilated else (first, second)
    return x.permute(0, *groups, *inside, x.ndim - 1).reshape(x.shape[0], prod(counts), prod(sizes), x.shape[-1])


def from_groups(
    grouped: Float[Tensor, "b groups tokens c"], counts: Sequence[int], sizes: Sequence[int], dilated: bool
) -> Float[Tensor, "b *space c"]:
    """The grid again, with ``counts`` groups of ``sizes`` tokens along each axis: the inverse of ``to_groups``."""
    dims = len(sizes)
    x = grouped.reshape(grouped.shape[0], *counts, *sizes, grouped.shape[-1])
    pairs = ((1 + dims + axis, 1 + axis) if dilated else (1 + axis, 1 + dims + axis) for axis in range(dims))
    x = x.permute(0, *(place for pair in pairs for place in pair), x.ndim - 1)
    space = [n * size for n, size in zip(counts, sizes, strict=True)]
    return x.reshape(x.shape[0], *space, x.shape[-1])


def pad_end(tokens: Float[Tensor, "b *space c"], space: Sequence[int]) -> Float[Tensor, "b *longer c"]:
    """Zeros at the far end of each axis, up to the given size."""
    if not torch.compiler.is_exporting() and tuple(space) == tokens.shape[1:-1]:
        return tokens
    missing = [after - before for before, after in zip(tokens.shape[1:-1], space, strict=True)]
    return F.pad(tokens, (0, 0, *(n for length in reversed(missing) for n in (0, length))))


def cut_end(tokens: Float[Tensor, "b *longer c"], space: Sequence[int]) -> Float[Tensor, "b *space c"]:
    """The first cells of each axis."""
    return tokens[(slice(None), *(slice(0, length) for length in space))]


def _real(
    space: Sequence[int], counts: Sequence[int], sizes: Sequence[int], dilated: bool, device: torch.device
) -> Bool[Tensor, "1 groups tokens"] | None:
    """Which tokens of the groups are no padding; None where all are. Every group has a real one."""
    longer = [n * size for n, size in zip(counts, sizes, strict=True)]
    if not torch.compiler.is_exporting() and longer == list(space):
        return None
    real = torch.ones((), dtype=torch.bool, device=device)
    for length, padded in zip(space, longer, strict=True):
        real = real[..., None] & (torch.arange(padded, device=device) < length)
    return to_groups(real[None, ..., None], sizes, dilated)[..., 0]
