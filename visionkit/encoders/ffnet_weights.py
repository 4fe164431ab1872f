"""Weights of FFNet's backbones, also from the files that were published with the paper."""

import re
from pathlib import Path

from torch import Tensor, nn

from visionkit.encoders.weights import load_exactly, part, read_weights

_PUBLISHED = "backbone_model."
_NOT_PUBLISHED = ("normalise.", "pre_down.", "stages.0.0.shortcut.")
"""Fixed statistics and kernel; and networks named d start from weights without d, whose first block has no shortcut."""
_STEM = re.compile(r"(conv|bn)(\d)\.(\w+)")
_BLOCK = re.compile(r"layer(\d)\.(\d+)\.(?:(conv|bn)(\d)|downsample\.(\d))\.(\w+)")


def load_ffnet(encoder: nn.Module, path: str | Path | None, three_stages: bool = False) -> None:
    """Loads a backbone: its own weights, those in a trained network, or those in a published one, whose head is left.

    Raises ConfigError C23 to C25 and UnsafeFileError U20 as ``read_weights`` and ``load_exactly``.
    """
    if not path:
        return
    tensors = read_weights(path)
    published = part(tensors, _PUBLISHED)
    if published:
        own = {name: value for name, value in encoder.state_dict().items() if name.startswith(_NOT_PUBLISHED)}
        tensors = own | renamed(published, three_stages)
    load_exactly(encoder, part(tensors, "encoder.") or tensors, path)


def renamed(tensors: dict[str, Tensor], three_stages: bool) -> dict[str, Tensor]:
    """Tensors of a published backbone (``layer1.0.conv2.weight``) by our names (``stages.0.0.branch.1.0.weight``).

    The stem counts its convolutions from 0, or from 1 where there is only one. A name of neither form stays.
    """
    stem, stages, before = ("levels.0", "levels", 0) if three_stages else ("stem", "stages", 1)
    first = 0 if "conv0.weight" in tensors else 1

    def name(published: str) -> str:
        if found := _STEM.fullmatch(published):
            kind, number, rest = found.groups()
            return f"{stem}.{int(number) - first}.{_place(kind)}.{rest}"
        if found := _BLOCK.fullmatch(published):
            stage, block, kind, number, shortcut, rest = found.groups()
            inside = f"branch.{int(number) - 1}.{_place(kind)}" if kind else f"shortcut.{shortcut}"
            return f"{stages}.{int(stage) - before}.{block}.{inside}.{rest}"
        return published

    return {name(key): value for key, value in tensors.items()}


def _place(kind: str) -> int:
    return 0 if kind == "conv" else 1
