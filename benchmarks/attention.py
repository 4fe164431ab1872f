"""Time of dilated attention over the size of the grid, against attention of every token to every other.

    python benchmarks/attention.py     promises: time a token at most 1.5 times that of the smallest grid, at every
                                       size; at the largest at most half the time of full attention

Both run alternately in this process on the same tokens, of the first stage of the published network. On a grid of
four groups the result must agree to 1e-5 with torch's own attention of each group, cut out by slices.
"""

import statistics
import sys
import time

import torch
from torch import Tensor

from visionkit.layers.dilated_attention import DilatedAttention

CHANNELS, HEADS, GROUP = 96, 3, (8, 8)
SIDES, ROUNDS = (16, 32, 64, 128), 7
FULL_TO = 64
"""Largest side on which full attention is timed; beyond it takes too long."""


def timed(module: DilatedAttention, tokens: Tensor) -> float:
    begin = time.perf_counter()
    module(tokens)
    return time.perf_counter() - begin


def by_slices(module: DilatedAttention, tokens: Tensor) -> Tensor:
    """The same by ``nn.MultiheadAttention``, a group at a time; the grid is two groups long and wide."""
    attention = torch.nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True)
    attention.in_proj_weight, attention.in_proj_bias = module.qkv.weight, module.qkv.bias
    attention.out_proj.load_state_dict(module.proj.state_dict())
    result = torch.empty_like(tokens)
    for row in (0, 1):
        for column in (0, 1):
            if module.dilated:
                place = (slice(None), slice(row, None, 2), slice(column, None, 2))
            else:
                place = (
                    slice(None),
                    *(slice(n * size, (n + 1) * size) for n, size in zip((row, column), GROUP, strict=True)),
                )
            group = tokens[place].reshape(1, -1, CHANNELS)
            result[place] = attention(group, group, group)[0].view(tokens[place].shape)
    return result


@torch.no_grad()
def main() -> int:
    torch.manual_seed(0)
    local, lattice = (DilatedAttention(CHANNELS, HEADS, GROUP, dilated) for dilated in (False, True))
    full = DilatedAttention(CHANNELS, HEADS, (FULL_TO + 1, FULL_TO + 1))
    for module in (lattice, full):
        module.load_state_dict(local.state_dict())
    small = torch.randn(1, *(2 * size for size in GROUP), CHANNELS)
    worst = max((module(small) - by_slices(module, small)).abs().max().item() for module in (local, lattice))
    print(f"four groups of {GROUP}: largest difference to torch's attention by slices {worst:.1e}")
    cost: dict[str, list[float]] = {"local": [], "dilated": [], "full": []}
    print("   side  " + "".join(f"{name + ' us/token':>18s}" for name in cost))
    for side in SIDES:
        tokens = torch.randn(1, side, side, CHANNELS)
        modules = {"local": local, "dilated": lattice, **({"full": full} if side <= FULL_TO else {})}
        times_s: dict[str, list[float]] = {name: [] for name in modules}
        for number in range(ROUNDS + 1):
            for name, module in modules.items():
                taken = timed(module, tokens)
                if number:  # the first round warms up
                    times_s[name].append(taken)
        for name, values in times_s.items():
            cost[name].append(statistics.median(values) / side**2 * 1e6)
        print(f"{side:7d}  " + "".join(f"{cost[name][-1]:18.2f}" for name in modules))
    growth = max(max(cost[name]) / cost[name][0] for name in ("local", "dilated"))
    against = max(cost[name][len(cost["full"]) - 1] for name in ("local", "dilated")) / cost["full"][-1]
    print(f"most time a token / that of the smallest grid:   {growth:.2f} (promise: at most 1.50)")
    print(f"groups / full attention on {FULL_TO} x {FULL_TO}:              {against:.2f} (promise: at most 0.50)")
    return int(worst > 1e-5 or growth > 1.5 or against > 0.5)


if __name__ == "__main__":
    sys.exit(main())
