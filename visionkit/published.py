"""Published networks put together from the parts here, and their size beside the figure that was published.

Each file of ``conf/published`` names an encoder and either a classifier's head or a task, the size of the input, and
the published figures as text with their unit, because their precision is that of the text.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from visionkit.assemble import make_network
from visionkit.config import build, compose, conf_dir
from visionkit.labels import Charset, Classes, Edges, Objects

_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True)
class Size:
    """Parameters and multiply-accumulates (MACs) of one image, ours and as published (text, or None)."""

    name: str
    input: tuple[int, ...]
    parameters: int
    macs: int
    published_parameters: str | None
    published_macs: str | None
    source: str
    note: str | None


def published(conf: Path | None = None) -> list[Path]:
    """The files of all published networks."""
    return sorted(((conf_dir() if conf is None else conf) / "published").glob("*.yaml"))


def size(file: Path) -> Size:
    """Builds a published network without memory for its weights, and counts."""
    about = yaml.safe_load(file.read_text(encoding="utf-8"))
    with torch.device("meta"):
        network = _network(about).eval()
        image = torch.empty(1, *about["input"])
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(image)
    return Size(
        name=file.stem,
        input=tuple(about["input"]),
        parameters=sum(value.numel() for value in network.parameters()),
        macs=counter.get_total_flops() // 2,
        published_parameters=_text(about["parameters"]),
        published_macs=_text(about["macs"]),
        source=about["source"],
        note=about["note"],
    )


def _text(figure: str | int | None) -> str | None:
    return None if figure is None else str(figure)


def agrees(ours: float, published_text: str | None) -> bool | None:
    """Whether a number rounds to the published one (``4.9G``) or equals a whole one; None where there is none."""
    if published_text is None:
        return None
    if published_text.isdigit():
        return ours == int(published_text)
    digits, unit = published_text[:-1], _UNITS[published_text[-1]]
    decimals = len(digits.partition(".")[2])
    return round(ours / unit, decimals) == float(digits)


def _network(about: dict[str, Any]) -> nn.Module:
    if "task" in about:
        labels = _labels(about)
        words = [f"encoder={about['encoder']}", f"task={about['task']}", *about.get("overrides", [])]
        return make_network(compose("train", words), labels)
    cfg = compose("train", [f"encoder={about['encoder']}", *about.get("overrides", [])])
    return build(about["head"])(encoder=build(cfg.encoder))


def _labels(about: dict[str, Any]) -> dict[str, Any]:
    """As many classes, or characters of text, as the file says; points and edges need no number."""
    labels: dict[str, Any] = {"points": Objects(), "edges": Edges()}
    if "classes" in about:
        labels["mask"] = Classes(tuple(str(index) for index in range(about["classes"])))
    if "characters" in about:
        labels["text"] = Charset(tuple(chr(0x4E00 + index) for index in range(about["characters"])))
    return labels
