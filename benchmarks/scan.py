"""Selective scan, forward and backward: ours against the loop of slow paths such as transformers', on the same inputs.

    python benchmarks/scan.py [rounds]

The loop indexes the discretised tensors at every step, so that its backward is quadratic in the length. A second
loop, over ``unbind``, shows what is left of the ratio without that. Fails when results leave the reference in
float64, or when the median ratio is below the promised one.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from visionkit.layers.scan import VARIABLE, reference_scan, selective_scan
from visionkit.layers.scan_cpu.build import library

BATCH, CHANNELS, STATES = 2, 192, 16
PROMISED = {196: {"torch": 4.0, "C++": 20.0}, 1024: {"torch": 40.0, "C++": 150.0}, 4096: {}}
LONG = 4096
"""From this length on each way runs once, since the loop takes minutes."""
OUTPUT_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4


def indexed_loop(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    decay = torch.exp(delta.unsqueeze(-1) * A)
    entry = (delta * u).unsqueeze(-1) * B
    state, outputs = torch.zeros_like(decay[:, 0]), []
    for step in range(u.shape[1]):
        state = decay[:, step] * state + entry[:, step]
        outputs.append((state * C[:, step]).sum(-1))
    return torch.stack(outputs, 1)


@contextmanager
def forced(way: str):
    os.environ[VARIABLE] = way
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def ours(way: str) -> Callable[..., Tensor]:
    def scan(*inputs: Tensor) -> Tensor:
        return selective_scan(*inputs)

    scan.way = way  # type: ignore[attr-defined]
    return scan


WAYS = {"loop": indexed_loop, "unbind": reference_scan, "torch": ours("torch"), "C++": ours("cpu")}


def inputs(length: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    u, z = torch.randn(2, BATCH, length, CHANNELS, generator=draw)
    B, C = torch.randn(2, BATCH, length, 1, STATES, generator=draw)
    rates = -torch.arange(1.0, STATES + 1).repeat(CHANNELS, 1)
    return [u, F.softplus(z - 3), rates, B, C]


def run(way: Callable[..., Tensor], tensors: list[Tensor]) -> tuple[float, list[Tensor]]:
    """Seconds of forward and backward, and their results: y, then the gradients."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    with forced(getattr(way, "way", "reference")):
        start = time.perf_counter()
        y = way(*leaves)
        grads = torch.autograd.grad(y, leaves, torch.ones_like(y))
        return time.perf_counter() - start, [y.detach(), *grads]


def saved_mb(way: Callable[..., Tensor], tensors: list[Tensor]) -> float:
    """Megabytes that forward keeps for backward, every storage counted once."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    with forced(getattr(way, "way", "reference")), torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        y = way(*leaves)
    del y
    return sum(kept.values()) / 2**20


def errors(results: list[Tensor], exact: list[Tensor]) -> tuple[float, float]:
    """Greatest error of y and of the gradients, each relative to the greatest value."""
    relative = [float((got - want).abs().max() / want.abs().max()) for got, want in zip(results, exact, strict=True)]
    return relative[0], max(relative[1:])


def compare(length: int, rounds: int) -> bool:
    tensors, ways = inputs(length), dict(WAYS)
    if library() is None:
        del ways["C++"]
    _, exact = run(reference_scan, [tensor.double() for tensor in tensors])
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    good = True
    for number in range(rounds):
        for name, way in ways.items():
            elapsed, results = run(way, tensors)
            seconds[name].append(elapsed)
            if number == 0:
                output, gradient = errors(results, exact)
                good &= output <= OUTPUT_TOLERANCE and gradient <= GRADIENT_TOLERANCE
                memory = saved_mb(way, tensors)
                print(
                    f"{length:6d} {name:>7}: error of y {output:.1e}, gradients {gradient:.1e}; saved {memory:.1f} MB"
                )
    medians = {name: statistics.median(times[1:] or times) for name, times in seconds.items()}  # the first warms up
    for name, median in medians.items():
        ratio, promise = medians["loop"] / median, PROMISED[length].get(name, 0.0)
        words = f" (promised: {promise:.0f})" if promise else ""
        print(f"{length:6d} {name:>7}: {median * 1e3:10.2f} ms, loop / {name} {ratio:8.1f}{words}")
        good &= ratio >= promise
    return good


def main(rounds: int = 6) -> int:
    print(f"batch {BATCH}, {CHANNELS} channels, {STATES} states, {torch.get_num_threads()} threads")
    for length in PROMISED:
        if not compare(length, 1 if length >= LONG else rounds):
            print("slower than promised, or wrong")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
