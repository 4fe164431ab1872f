"""SVTRv2 as its authors released it (github.com/Topdu/OpenOCR), under the names of ``encoders.svtrv2.Body``."""

import re

from torch import Tensor

from visionkit.encoders.released import renamed
from visionkit.encoders.weights import part

_NAMES = [
    (r"^pope\.patch_embed\.(\d)\.conv\.", r"stem.\1.0."),
    (r"^pope\.patch_embed\.(\d)\.norm\.", r"stem.\1.1."),
    (r"\.blocks\.", "."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.2."),
    (r"^stages\.(\d)\.downsample\.conv\.", r"steps.\1.0."),
    (r"^stages\.(\d)\.downsample\.norm\.", r"steps.\1.1."),
]
_BLOCK = re.compile(r"^stages\.(\d+)\.(\d+)\.")


def of_openocr(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors of a whole recogniser, or of its encoder alone.

    A reshaping in the middle of a stage has a number there and no weights: blocks are counted anew.
    """
    named = renamed(part(tensors, "encoder.") or tensors, _NAMES)
    numbers: dict[str, list[int]] = {}
    for name in named:
        if found := _BLOCK.match(name):
            blocks = numbers.setdefault(found[1], [])
            if int(found[2]) not in blocks:
                blocks.append(int(found[2]))
    return {_BLOCK.sub(lambda found: _counted(found, numbers), name): value for name, value in named.items()}


def _counted(found: re.Match[str], numbers: dict[str, list[int]]) -> str:
    return f"stages.{found[1]}.{sorted(numbers[found[1]]).index(int(found[2]))}."
