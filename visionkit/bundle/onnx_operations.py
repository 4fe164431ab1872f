"""What ONNX calls operations of visionkit's own."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from visionkit.layers import lstm

_WEIGHTS = 4
"""Tensors of one direction: weights of the input and of the state, and a bias of each."""


def translations() -> dict[Any, Callable[..., Any]]:
    """For ``torch.onnx.export``: from an operation to the function that writes its nodes."""
    assert lstm.lstm_both_ways  # its module makes the operation known to torch
    return {torch.ops.visionkit.lstm_both_ways.default: _lstm_both_ways}


def _lstm_both_ways(x: Any, weights: Sequence[Any], hidden: int, layers: int) -> Any:
    op = _opset()
    x = op.Transpose(x, perm=[1, 0, 2])
    for layer in range(layers):
        first = 2 * _WEIGHTS * layer
        directions = [weights[first : first + _WEIGHTS], weights[first + _WEIGHTS : first + 2 * _WEIGHTS]]
        parts = [[_in_order(weight, hidden) for weight in direction] for direction in directions]
        inputs, states = (op.Concat(*(op.Unsqueeze(part[n], [0]) for part in parts), axis=0) for n in (0, 1))
        bias = op.Concat(*(op.Unsqueeze(op.Concat(part[2], part[3], axis=0), [0]) for part in parts), axis=0)
        read, _, _ = op.LSTM(x, inputs, states, bias, direction="bidirectional", hidden_size=hidden)
        x = op.Reshape(op.Transpose(read, perm=[0, 2, 1, 3]), [0, 0, 2 * hidden])
    return op.Transpose(x, perm=[1, 0, 2])


def _in_order(weight: Any, hidden: int) -> Any:
    """Gates in ONNX's order (input, output, forget, cell) from torch's (input, forget, cell, output)."""
    op = _opset()
    gates = [op.Slice(weight, [gate * hidden], [(gate + 1) * hidden], [0]) for gate in (0, 3, 1, 2)]
    return op.Concat(*gates, axis=0)


def _opset() -> Any:
    """ONNX's operations; imported here because onnxscript need not be installed."""
    from onnxscript import opset18

    return opset18
