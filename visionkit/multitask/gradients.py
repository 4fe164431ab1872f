"""Gradients of several tasks at the parameters that they share, and what they say of each other."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


def task_gradients(sums: Mapping[str, Tensor], shared: Sequence[nn.Parameter]) -> list[list[Tensor]]:
    """For each task the gradient of its loss at each shared parameter, zero where it does not use it.

    Averaged over all processes, as that of the training step will be. The graph stays for the step itself.
    """
    found = []
    for value in sums.values():
        own = torch.autograd.grad(value, list(shared), retain_graph=True, allow_unused=True)
        filled = [torch.zeros_like(p) if g is None else g for g, p in zip(own, shared, strict=True)]
        found.append([averaged(gradient) for gradient in filled])
    return found


def gramian(gradients: Sequence[Sequence[Tensor]]) -> Float[Tensor, "k k"]:
    """Scalar products of the gradients of k tasks, in float64."""
    flat = [torch.cat([part.flatten() for part in own]).double() for own in gradients]
    return torch.stack([torch.stack([a @ b for b in flat]) for a in flat])


def cosines(products: Float[Tensor, "k k"]) -> Float[Tensor, "k k"]:
    """Cosines of the angles between gradients; 0 where one of them is zero."""
    norms = products.diagonal().clamp(min=0).sqrt()
    return products / (norms[:, None] * norms).clamp(min=torch.finfo(products.dtype).tiny)


def averaged(value: Tensor) -> Tensor:
    """The mean over all processes; the value itself where there is one."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return value
    value = value.clone()
    torch.distributed.all_reduce(value)
    return value / torch.distributed.get_world_size()


class _Weighted(torch.autograd.Function):
    """The same features; their gradient times a weight that is known only when it arrives."""

    @staticmethod
    def forward(ctx, holder: "Gate", *features: Tensor):  # type: ignore[no-untyped-def]
        ctx.holder = holder
        return tuple(x.view_as(x) for x in features)

    @staticmethod
    def backward(ctx, *gradients: Tensor):  # type: ignore[no-untyped-def]
        return None, *(g if g is None else g * ctx.holder.weight for g in gradients)


class Gate:
    """Lets features through to a task and weights what comes back to the encoder."""

    def __init__(self) -> None:
        self.weight = 1.0

    def __call__(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The features; their gradient is multiplied by the ``weight`` of the moment of the backward pass."""
        return list(_Weighted.apply(self, *features))
