"""What the contract tests know of encoders and tasks by building them; nothing is listed by hand.

A task that learns from another kind of target adds its labels to ``LABELS`` and its truth to ``TARGETS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from visionkit.assemble import make_network
from visionkit.config import build, compose, options
from visionkit.encoders.conv import ConvEncoder
from visionkit.errors import ConfigError
from visionkit.layers.strides import per_axis
from visionkit.network import Network, target_of
from visionkit.types import Batch, Cell, Charset, Classes, Edges, Objects, Table, TableTokens

LABELS: dict[str, Any] = {
    "mask": Classes(("sky", "road", "car")),
    "edges": Edges(),
    "points": Objects(),
    "text": Charset(tuple("abc ")),
    "table": TableTokens(("<tr>", "</tr>", "<td>", "</td>"), tuple("abc")),
}
"""What a dataset would say of each target."""
TABLE = Table(("<tr>", "<td>", "</td>", "</tr>"), (Cell(("a", "b"), (1.0, 2.0, 9.0, 8.0)),))
TARGETS: dict[str, Callable[[int, tuple[int, ...]], Any]] = {
    "mask": lambda count, space: torch.randint(-1, 3, (count, *space)),
    "edges": lambda count, space: torch.randint(-1, 2, (count, 3, *space), dtype=torch.int8),
    "points": lambda count, space: [torch.rand(n, 2) * torch.tensor(space[::-1]) for n in range(count)],
    "text": lambda count, space: ["", "ab", "c a"][:count],
    "table": lambda count, space: [TABLE] * count,
}
"""The truth of a batch for each target, from the number of samples and their size."""
REFUSED = "C83"
"""The error of what has no meaning in the encoder's number of dimensions."""
HEAVY = 15_000_000
"""Parameters from which on an encoder is only looked at in the quick tests."""
SIZES = {2: ((1, 1), (7, 3), (97, 131)), 3: ((1, 1, 1), (7, 3, 5), (21, 35, 18))}
"""Smaller than a cell, than the grid, and not divisible."""
SPACE = {2: (37, 41), 3: (17, 20, 19)}
"""Of a training step."""


@dataclass(frozen=True)
class About:
    """What an option of conf/encoder turns out to be."""

    dims: int
    parameters: int
    maps: int
    """How many maps it gives: those of lines of text give one, which is no pyramid."""
    on_meta: bool
    """Whether shapes can be had without computing anything."""

    @property
    def device(self) -> str:
        """Where a heavy one is looked at."""
        return "meta" if self.on_meta else "cpu"


@cache
def about(encoder: str) -> About:
    """An encoder as it is, built without its weights where that works."""
    cfg = compose("train", [f"encoder={encoder}"]).encoder
    try:
        with torch.device("meta"):
            built = build(cfg)
            side = [2 * step for step in per_axis(built.strides[-1], built.spatial_dims)]
            built.eval()(torch.empty(1, built.in_chans, *side))
        on_meta = True
    except Exception:  # what its operations raise where they have nothing to compute with
        built, on_meta = build(cfg), False
    parameters = sum(value.numel() for value in built.parameters())
    return About(built.spatial_dims, parameters, len(built.channels), on_meta)


@cache
def dims_of(task: str) -> frozenset[int]:
    """The numbers of dimensions that a task works in: those in which it does not refuse."""
    found = set()
    for dims in SIZES:
        try:
            _over_small_encoder(task, dims)
            found.add(dims)
        except ConfigError as error:
            if error.code != REFUSED:
                raise
    return frozenset(found)


@cache
def is_heavy(task: str) -> bool:
    """Whether a task is only looked at in the quick tests, and with one encoder."""
    network = _over_small_encoder(task, min(dims_of(task)))
    return sum(value.numel() for value in network.tasks.parameters()) > HEAVY


@cache
def reads(task: str) -> bool:
    """Whether a task gives sequences, not maps."""
    network = _over_small_encoder(task, min(dims_of(task)))
    return not all(getattr(part, "dense", True) for part in network.tasks.values())


def _over_small_encoder(task: str, dims: int) -> Network:
    """A task over four maps, built without its weights where that works."""

    def built() -> Network:
        encoder = ConvEncoder((4, 6, 8, 10), (4, 2, 2, 2), spatial_dims=dims, in_chans=1)
        tasks = {name: build(cfg) for name, cfg in compose("train", [f"task={task}"]).tasks.items()}
        return Network(encoder, tasks, LABELS)

    try:
        with torch.device("meta"):
            return built()
    except ConfigError as error:
        if error.code == REFUSED:
            raise
    except Exception:  # what a constructor raises where it has nothing to compute with
        pass
    return built()


@cache
def cheapest(dims: int) -> str:
    """The encoder with fewest parameters among those that give a pyramid."""
    pyramids = [name for name in options("encoder") if about(name).dims == dims and about(name).maps > 2]
    return min(pyramids, key=lambda name: about(name).parameters)


def in_turn(encoder: str) -> str:
    """One of the light tasks that work in the encoder's dimensions; all encoders together try all of them.

    Encoders of lines of text, which give one narrow map, take turns with the tasks that read.
    """
    tasks = [task for task in options("task") if about(encoder).dims in dims_of(task) and not is_heavy(task)]
    if about(encoder).maps == 1:
        tasks = [task for task in tasks if reads(task)]
    return tasks[options("encoder").index(encoder) % len(tasks)]


def network_of(encoder: str, task: str) -> tuple[DictConfig, Network]:
    """The two together, and the configuration that says so."""
    cfg = compose("train", [f"encoder={encoder}", f"task={task}"])
    return cfg, make_network(cfg, LABELS)


def images(network: Network, *space: int, count: int = 1) -> Tensor:
    """Pictures in 0..1, or volumes about 0."""
    shape = (count, network.encoder.in_chans, *space)
    return torch.rand(shape) if len(space) == 2 else torch.randn(shape)


def batch_for(network: Network, *space: int, count: int = 2) -> Batch:
    """A batch with the truth of every task; pictures are bytes, as they come from a file."""
    torch.manual_seed(0)
    image = images(network, *space, count=count)
    targets = {target_of(task) for task in network.named_tasks.values()}
    return {
        "key": [str(index) for index in range(count)],
        "image": (image * 255).byte() if len(space) == 2 else image,
        "valid": torch.ones(count, *space, dtype=torch.bool),
        **{target: TARGETS[target](count, space) for target in targets},  # type: ignore[typeddict-item]
    }
