"""Weights as a network's authors released them, loaded into a body that has other names for them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor, nn

from visionkit.encoders.weights import load_exactly, misfit, part, read_weights

Tensors = dict[str, Tensor]


def load_released(encoder: nn.Module, path: str | Path | None, convert: Callable[[Tensors], Tensors]) -> None:
    """Loads an encoder of a trained network, or the authors' release into ``encoder.body``; nothing without a path.

    Raises ConfigError C23 to C25 and UnsafeFileError U20 as ``read_weights`` and ``load_exactly``.
    """
    if not path:
        return
    tensors = read_weights(path)
    ours = part(tensors, "encoder.") or tensors
    if part(ours, "body."):
        load_exactly(encoder, ours, path)
        return
    try:
        released = convert(tensors)
    except (LookupError, ValueError, AttributeError) as error:  # what it looks for is not there
        raise misfit(path, f"{type(error).__name__} {error}") from error
    body = encoder.get_submodule("body")
    shapes = {name: tensor.shape for name, tensor in body.state_dict().items()}
    # The same numbers in the same order: 1x1 convolutions for linear layers, two axes for one.
    fitting = {
        name: tensor.reshape(shapes[name]) if name in shapes and tensor.numel() == shapes[name].numel() else tensor
        for name, tensor in released.items()
    }
    load_exactly(body, fitting, path)


def renamed(tensors: Tensors, rules: Sequence[tuple[str, str]]) -> Tensors:
    """Tensors under new names: each rule (pattern, replacement) is applied in its turn."""
    renamed = {}
    for name, value in tensors.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed
