"""The selective scan in PyTorch: one step after another, in two levels, and in a form that ONNX knows.

Shapes and symbols are those of ``visionkit.layers.scan.selective_scan``; ``A``, ``B`` and ``C`` keep their names in
Gu and Dao 2023, "Mamba", arXiv 2312.00752.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def reference_scan(
    u: Float[Tensor, "b l d"],
    delta: Float[Tensor, "b l d"],
    A: Float[Tensor, "d n"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
) -> Float[Tensor, "b l d"]:
    """The recurrence as it is written, for comparison: slow, and autograd keeps every state."""
    state, outputs = u.new_zeros(u.shape[0], *A.shape), []
    for step in zip(*(tensor.unbind(1) for tensor in (u, delta, B, C)), strict=True):
        state, y = _step(state, step, A)
        outputs.append(y)
    return torch.stack(outputs, 1) if outputs else torch.zeros_like(u)


def exported_scan(
    u: Float[Tensor, "b l d"],
    delta: Float[Tensor, "b l d"],
    A: Float[Tensor, "d n"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
) -> Float[Tensor, "b l d"]:
    """The same recurrence as one operation with a body, which becomes ONNX's Scan, for any length."""
    from torch._higher_order_ops.scan import scan

    start = u.new_zeros(u.shape[0], *A.shape)
    steps = tuple(tensor.transpose(0, 1) for tensor in (u, delta, B, C))
    _, y = scan(lambda state, step: _step(state, step, A), start, steps)
    return y.transpose(0, 1)


def _step(state: Tensor, step: Sequence[Tensor], A: Tensor) -> tuple[Tensor, Tensor]:
    u, delta, B, C = step
    B, C = (_per_channel(vector, u.shape[1]) for vector in (B, C))
    state = torch.exp(delta.unsqueeze(-1) * A) * state + (delta * u).unsqueeze(-1) * B
    return state, (state * C).sum(-1)


def _per_channel(vector: Float[Tensor, "b g n"], channels: int) -> Float[Tensor, "b d n"]:
    return vector.repeat_interleave(channels // vector.shape[1], 1)


class TwoLevel:
    """The sequence as ``k`` chunks of ``t`` steps, both about the root of its length.

    Every step is taken in all chunks at once; between the chunks the state goes on in ``k`` steps. The decay over
    a chunk is ``exp(A * sum(delta))``, which is at most 1: no quotient of decays is ever formed, since those overflow.
    A sequence that does not divide is lengthened at its end by steps with ``delta = 0``, which change nothing.

    Tensors are ``(t, b, k, g, p, n)``: ``g`` groups of ``p`` channels, ``n`` states.
    """

    def __init__(self, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> None:
        self.length, self.groups = u.shape[1], B.shape[2]
        self.steps = math.isqrt(self.length - 1) + 1
        self.A = A.view(self.groups, -1, A.shape[-1])
        self.u, self.delta = self.split(u), self.split(delta)
        self.x = self.delta * self.u
        self.B, self.C = (self._chunks(vector).unsqueeze(-2) for vector in (B, C))
        self.decay = torch.exp_(self.delta.sum(0) * self.A)

    def split(self, signal: Float[Tensor, "b l d"]) -> Float[Tensor, "t b k g p 1"]:
        """A signal of every channel, in chunks."""
        return self._chunks(signal).unflatten(-1, (self.groups, -1)).unsqueeze(-1)

    def join(self, chunks: Float[Tensor, "t b k *rest"]) -> Float[Tensor, "b l *rest"]:
        """The sequence that the chunks are of."""
        return chunks.movedim(0, 2).flatten(1, 2)[:, : self.length].contiguous()

    def _chunks(self, signal: Float[Tensor, "b l *rest"]) -> Float[Tensor, "t b k *rest"]:
        missing = -self.length % self.steps
        padded = F.pad(signal, (*[0, 0] * (signal.ndim - 2), 0, missing))
        return padded.unflatten(1, (-1, self.steps)).movedim(2, 0).contiguous()

    def factor(self, step: int) -> Tensor:
        """``exp(delta * A)`` of one step."""
        return torch.exp_(self.delta[step] * self.A)

    def starts(self) -> Float[Tensor, "b k g p n"]:
        """The state before each chunk."""
        ends = torch.zeros_like(self.decay)
        for step in range(self.steps):
            ends.mul_(self.factor(step)).addcmul_(self.x[step], self.B[step])
        starts = torch.zeros_like(ends)
        for chunk in range(1, starts.shape[1]):
            before = chunk - 1
            starts[:, chunk] = self.decay[:, before] * starts[:, before] + ends[:, before]
        return starts

    def forward(self) -> Float[Tensor, "b l d"]:
        """``y`` without the skip."""
        state, outputs = self.starts(), []
        for step in range(self.steps):
            state.mul_(self.factor(step)).addcmul_(self.x[step], self.B[step])
            outputs.append((state * self.C[step]).sum(-1))
        return self.join(torch.stack(outputs).flatten(-2))

    def arrivals(self, grad: Tensor) -> Float[Tensor, "b k g p n"]:
        """The gradient that reaches the last state of each chunk from the chunks after it."""
        leaving = torch.zeros_like(self.decay)
        for step in reversed(range(self.steps)):
            leaving.addcmul_(grad[step], self.C[step]).mul_(self.factor(step))
        arrivals = torch.zeros_like(leaving)
        for chunk in reversed(range(1, arrivals.shape[1])):
            arrivals[:, chunk - 1] = self.decay[:, chunk] * arrivals[:, chunk] + leaving[:, chunk]
        return arrivals

    def backward(self, grad_y: Float[Tensor, "b l d"]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Gradients of ``u, delta, A, B, C``; meanwhile the states of all steps, computed again, are held."""
        grad, states = self.split(grad_y), [self.starts()]
        for step in range(self.steps):
            states.append(torch.addcmul(self.factor(step) * states[-1], self.x[step], self.B[step]))
        incoming, rates = self.arrivals(grad), torch.zeros_like(self.decay)
        grad_u, grad_delta = (torch.empty_like(self.u.squeeze(-1)) for _ in range(2))
        grad_b, grad_c = (torch.empty_like(self.B.squeeze(-2)) for _ in range(2))
        for step in reversed(range(self.steps)):
            grad_c[step] = (grad[step] * states.pop()).sum(-2)
            incoming.addcmul_(grad[step], self.C[step])
            grad_b[step] = (incoming * self.x[step]).sum(-2)
            grad_x = (incoming * self.B[step]).sum(-1)
            incoming.mul_(self.factor(step))
            exponent = incoming * states[-1]
            rates.addcmul_(exponent, self.delta[step])
            grad_u[step] = grad_x * self.delta[step].squeeze(-1)
            grad_delta[step] = torch.addcmul((exponent * self.A).sum(-1), grad_x, self.u[step].squeeze(-1))
        grad_u, grad_delta = (self.join(signal.flatten(-2)) for signal in (grad_u, grad_delta))
        return grad_u, grad_delta, rates.sum((0, 1)).flatten(0, 1), self.join(grad_b), self.join(grad_c)
