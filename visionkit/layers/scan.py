"""The selective scan of state space models (S6), on whatever the machine has for it."""

import os
from collections.abc import Callable
from ctypes import CDLL
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from visionkit.errors import ConfigError, nearest
from visionkit.layers.scan_cpu import kernel
from visionkit.layers.scan_cpu.build import library
from visionkit.layers.scan_torch import TwoLevel, exported_scan, reference_scan

VARIABLE = "VISIONKIT_SCAN"
_CHOICES = ("reference", "torch", "cpu")


def selective_scan(
    u: Float[Tensor, "b l d"],
    delta: Float[Tensor, "b l d"],
    A: Float[Tensor, "d n"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
    D: Float[Tensor, " d"] | None = None,
) -> Float[Tensor, "b l d"]:
    """A linear recurrence for each channel, with coefficients that depend on the input (Gu and Dao 2023, "Mamba",
    arXiv 2312.00752, equations 2 and algorithm 2)::

        h[t] = exp(delta[t] * A) * h[t - 1] + delta[t] * u[t] * B[t],    y[t] = C[t] . h[t] + D * u[t]

    In float32 (float64 for inputs in float64) whatever autocast says. Backward computes the states again, so that
    only the inputs are kept. Runs on a GPU by mamba_ssm where it is installed, on a CPU by a C++ kernel that is
    compiled on first use, else in PyTorch; the environment's VISIONKIT_SCAN forces ``reference``, ``torch`` or ``cpu``.

    Args:
        u: input.
        delta: step size, at least 0.
        A: rate of each of the ``n`` states of a channel, at most 0.
        B, C: input and output vectors; the ``d`` channels are ``g`` groups, one after the other, that share them.
        D: skip from input to output.

    Raises:
        ConfigError: C72 unknown VISIONKIT_SCAN, C73 the C++ kernel is forced and cannot be built, C74 it is forced
            for tensors that it does not take.
    """
    dtype = torch.promote_types(u.dtype, torch.float32)
    inputs = [tensor.to(dtype) for tensor in (u, delta, A, B, C)]
    y = _route(inputs[0])(*inputs)
    return y if D is None else y + D.to(dtype) * inputs[0]


def _route(u: Tensor) -> Callable[..., Tensor]:
    if torch.compiler.is_exporting():
        return exported_scan
    forced = _forced()
    if forced == "reference":
        return reference_scan
    return _mamba_scan if u.is_cuda and not forced and _mamba_ssm() else _scan


def _forced() -> str | None:
    forced = os.environ.get(VARIABLE)
    if forced and forced not in _CHOICES:
        raise ConfigError("C72", f"{VARIABLE}={forced}", "no such way to scan", nearest(forced, _CHOICES))
    return forced or None


@cache
def _mamba_ssm() -> Callable[..., Tensor] | None:
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except ImportError:
        return None
    return selective_scan_fn


def _mamba_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """By the CUDA kernel of Gu and Dao, which has time last."""
    scan = _mamba_ssm()
    assert scan is not None
    last = [tensor.movedim(1, -1).contiguous() for tensor in (u, delta, B, C)]
    return scan(last[0], last[1], A.contiguous(), last[2], last[3]).movedim(-1, 1)


def _compiled(u: Tensor) -> CDLL | None:
    """The C++ kernel where it is to be used."""
    forced, fits = _forced(), u.device.type == "cpu" and u.dtype == torch.float32
    if forced == "cpu":
        if not fits:
            what = f"takes float32 on a CPU, not {str(u.dtype).removeprefix('torch.')} on {u.device}"
            raise ConfigError("C74", f"{VARIABLE}=cpu", what, f"unset {VARIABLE}")
        if library() is None:
            what = "the C++ kernel cannot be built, as logged"
            raise ConfigError("C73", f"{VARIABLE}=cpu", what, f"install a C++ compiler, or unset {VARIABLE}")
    return library() if fits and forced != "torch" else None


@torch.library.custom_op("visionkit::selective_scan", mutates_args=())
def _scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    if u.numel() == 0:
        return torch.zeros_like(u)
    if compiled := _compiled(u):
        return kernel.forward(compiled, u, delta, A, B, C)
    return TwoLevel(u, delta, A, B, C).forward()


@torch.library.custom_op("visionkit::selective_scan_backward", mutates_args=())
def _scan_backward(
    grad: Tensor, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    if u.numel() == 0:
        grads = [torch.zeros_like(tensor) for tensor in (u, delta, A, B, C)]
        return grads[0], grads[1], grads[2], grads[3], grads[4]
    if compiled := _compiled(u):
        return kernel.backward(compiled, grad, u, delta, A, B, C)
    return TwoLevel(u, delta, A, B, C).backward(grad)


@_scan.register_fake
def _(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    return torch.empty_like(u, memory_format=torch.contiguous_format)


@_scan_backward.register_fake
def _(grad: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in inputs)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
    return _scan_backward(grad, *ctx.saved_tensors)


_scan.register_autograd(_differentiate, setup_context=_keep)


@register_flop_formula(torch.ops.visionkit.selective_scan)
def _flops(u: tuple[int, ...], delta: tuple[int, ...], A: tuple[int, ...], *_: Any, **__: Any) -> int:
    """As the authors of Mamba and VMamba count: nine multiply-adds for each state and one for the skip."""
    return 2 * (9 * A[1] + 1) * u[0] * u[1] * u[2]
