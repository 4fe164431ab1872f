"""Pictures with their channels last in memory, which most convolutions are fastest with; shapes stay as they are.

Volumes are left alone: normalising each channel of them by itself, as their networks do, is slower that way.
"""

import torch
from jaxtyping import Shaped
from torch import Tensor, nn


def channels_last(tensor: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """A batch of pictures, or the weight of a convolution over them; any other tensor as it is."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def channels_last_(network: nn.Module) -> None:
    """Every weight of a network, in place."""
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = channels_last(tensor.data)
