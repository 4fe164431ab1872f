"""The compiled scan as functions of tensors; shapes as of ``visionkit.layers.scan.selective_scan``, float32."""

import ctypes

import torch
from jaxtyping import Float
from torch import Tensor

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def forward(
    library: ctypes.CDLL,
    u: Float[Tensor, "b l d"],
    delta: Float[Tensor, "b l d"],
    A: Float[Tensor, "d n"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
) -> Float[Tensor, "b l d"]:
    """``y`` without the skip."""
    inputs = [tensor.contiguous() for tensor in (u, delta, A, B, C)]
    y = torch.empty_like(inputs[0])
    _call(library.scan_forward, inputs, [y])
    return y


def backward(library: ctypes.CDLL, grad: Float[Tensor, "b l d"], *inputs: Tensor) -> Gradients:
    """Gradients of ``u, delta, A, B, C``. Sums over tiles and images are left to torch, in a fixed order."""
    u, delta, A, B, C = (tensor.contiguous() for tensor in inputs)
    (batch, length, groups, states), channels = B.shape, u.shape[2]
    tiles = -(-channels // groups // library.scan_lanes())
    rates = u.new_empty(batch, channels, states)
    of_tiles = [u.new_empty(batch, tiles, length, groups, states) for _ in "BC"]
    outputs = [torch.empty_like(u), torch.empty_like(delta), rates, *of_tiles]
    _call(library.scan_backward, [u, delta, A, B, C, grad.contiguous()], outputs)
    return outputs[0], outputs[1], rates.sum(0), of_tiles[0].sum(1), of_tiles[1].sum(1)


def _call(function: ctypes._CFuncPtr, inputs: list[Tensor], outputs: list[Tensor]) -> None:
    (batch, length, channels), (groups, states) = inputs[0].shape, inputs[3].shape[2:]
    shape = (ctypes.c_int64 * 5)(batch, length, channels, groups, states)
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in inputs + outputs]
    function(shape, *pointers, ctypes.c_int(torch.get_num_threads()))
