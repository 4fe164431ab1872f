"""S6: a state space model whose coefficients are read off its input (Gu and Dao 2023, "Mamba", arXiv 2312.00752)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.layers.scan import selective_scan

_SLOWEST, _FASTEST, _FLOOR = 1e-3, 1e-1, 1e-4
"""Range of the step size delta at the start; larger ones diverge."""


class SelectiveSSM(nn.Module):
    """The scan of several directions at once, each with coefficients of its own.

    Vectors with one axis are what the optimizer keeps from weight decay; therefore ``A_log`` is flat as well.

    Args:
        channels: channels of each direction.
        states: states of each channel.
        rank: rank of the projection to the step sizes.
        directions: sequences that are scanned side by side.
    """

    def __init__(self, channels: int, states: int, rank: int, directions: int) -> None:
        super().__init__()
        self.states, self.rank, self.directions = states, rank, directions
        self.input_proj = nn.Parameter(torch.empty(directions, rank + 2 * states, channels))
        self.step_proj = nn.Parameter(torch.empty(directions, channels, rank))
        self.step_bias = nn.Parameter(torch.empty(directions * channels))
        self.A_log = nn.Parameter(torch.empty(directions * channels * states))
        self.D = nn.Parameter(torch.empty(directions * channels))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """A = -1..-n for every channel, D = 1, step sizes log-uniform between 0.001 and 0.1."""
        nn.init.uniform_(self.input_proj, -(self.input_proj.shape[2] ** -0.5), self.input_proj.shape[2] ** -0.5)
        nn.init.uniform_(self.step_proj, -(self.rank**-0.5), self.rank**-0.5)
        low, high = math.log(_SLOWEST), math.log(_FASTEST)
        step = torch.empty_like(self.step_bias).uniform_(low, high).exp().clamp(min=_FLOOR)
        self.step_bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        self.A_log.copy_(torch.arange(1.0, self.states + 1).log().repeat(self.D.numel()))
        nn.init.ones_(self.D)

    def forward(self, x: Float[Tensor, "b l k c"]) -> Float[Tensor, "b l k c"]:
        """The scanned sequences, in float32."""
        coefficients = torch.einsum("blkc,krc->blkr", x, self.input_proj)
        low_rank, B, C = coefficients.split([self.rank, self.states, self.states], dim=-1)
        step = torch.einsum("blkr,kcr->blkc", low_rank, self.step_proj).flatten(2)
        delta = F.softplus(step.float() + self.step_bias)
        A = -torch.exp(self.A_log.float()).view(-1, self.states)
        return selective_scan(x.flatten(2), delta, A, B, C, self.D).unflatten(-1, (self.directions, -1))
