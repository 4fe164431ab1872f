"""What the contract tests know of encoders and tasks by building them; nothing is listed by hand.

A task that learns from another kind of target adds its labels to ``LABELS`` and its truth to ``TARGETS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from visionkit.assemble import make_network
from visionkit.config import build, compose, conf_dir, options
from visionkit.encoders.conv import ConvEncoder
from visionkit.errors import ConfigError
from visionkit.labels import Cell, Charset, Classes, Edges, Objects, Table, TableTokens
from visionkit.layers.strides import per_axis
from visionkit.network import Network, target_of
from visionkit.text.character_ngrams import CharacterNGrams
from visionkit.types import Batch

LABELS: dict[str, Any] = {
    "mask": Classes(("sky", "road", "car")),
    "edges": Edges(),
    "points": Objects(),
    "text": Charset(tuple("abc "), ngrams=CharacterNGrams(2).counts(["ab c", "c a"])),
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
SIZES = {2: ((1, 1), (7, 3), (45, 71)), 3: ((1, 1, 1), (7, 3, 5), (21, 35, 18))}
"""Smaller than a cell, than the grid, and not divisible."""
SMALL = {
    2: ("unet2d", "encoder.channels=[4,6,8,10]", "encoder.steps=[4,2,2,2]"),
    3: ("unet3d", "encoder.channels=[4,6,8,10]", "encoder.steps=[2,2,2,2]"),
}
"""The encoder with which every task is tried in the quick tests, and what makes it small."""
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


@dataclass(frozen=True)
class AboutTask:
    """What an option of conf/task turns out to be."""

    dims: frozenset[int]
    """The numbers of dimensions that it works in: those in which it does not refuse."""
    heavy: bool
    """Whether it is only looked at in the quick tests, and with one encoder."""
    reads: bool
    """Whether it gives sequences, not maps."""


@cache
def about(encoder: str) -> About:
    """An encoder as it is, built without its weights where that works."""
    cfg = OmegaConf.load(conf_dir() / f"encoder/{encoder}.yaml")
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
def about_task(task: str) -> AboutTask:
    """A task over four maps, in as many dimensions as it works in."""
    found = {}
    for dims in SIZES:
        try:
            found[dims] = _over_small_encoder(task, dims)
        except ConfigError as error:
            if error.code != REFUSED:
                raise
    network = found[min(found)]
    parameters = sum(value.numel() for value in network.tasks.parameters())
    reads = not all(getattr(part, "dense", True) for part in network.tasks.values())
    return AboutTask(frozenset(found), parameters > HEAVY, reads)


def _over_small_encoder(task: str, dims: int) -> Network:
    """Built without its weights where that works."""

    def built() -> Network:
        encoder = ConvEncoder((4, 6, 8, 10), (4, 2, 2, 2), spatial_dims=dims, in_chans=1)
        return Network(encoder, {name: build(cfg) for name, cfg in _composed(f"task={task}").tasks.items()}, LABELS)

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
def _composed(*overrides: str) -> DictConfig:
    """Not to be changed by who gets it."""
    return compose("train", list(overrides))


def in_turn(encoder: str) -> str:
    """One of the light tasks that work in the encoder's dimensions; all encoders together try all of them.

    Encoders of lines of text, which give one narrow map, take turns with the tasks that read.
    """
    known = about(encoder)
    tasks = [task for task in options("task") if known.dims in about_task(task).dims and not about_task(task).heavy]
    if known.maps == 1:
        tasks = [task for task in tasks if about_task(task).reads]
    return tasks[options("encoder").index(encoder) % len(tasks)]


def network_of(encoder: str, task: str, *overrides: str) -> tuple[DictConfig, Network]:
    """The two together, and the configuration that says so; ``overrides`` are of the encoder."""
    cfg = _composed(f"task={task}").copy()
    cfg.encoder = _composed(f"encoder={encoder}", *overrides).encoder
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
