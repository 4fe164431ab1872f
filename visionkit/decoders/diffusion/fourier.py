"""A filter of learnt gains for each frequency, on maps of any size."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from visionkit.errors import ConfigError


class FourierFilter(nn.Module):
    """Multiplies every frequency of every channel by a complex gain (Ye et al. 2024, adaptive FFT-filter).

    The gains are learnt on the grid of frequencies that a map of ``grid`` cells has: there the filter is
    ``irfft2(rfft2(x) * weight)``. Frequencies of maps of other sizes, in periods for each cell, lie between those of
    the grid; their gains are interpolated linearly, round the ends of the first axis, which is periodic. So a map
    that is repeated gives the repeated output.

    Args:
        channels: of the map.
        grid: height and width on which the gains are learnt; the width is even, so that the grid reaches the highest
            frequency.
        deviation: of the normal distribution from which the gains start.

    Raises ConfigError C155 for a grid that is none.
    """

    def __init__(self, channels: int, grid: tuple[int, int] = (10, 10), deviation: float = 0.02) -> None:
        super().__init__()
        height, width = grid
        if height < 1 or width < 2 or width % 2:
            fix = "give height and an even width, such as [10, 10]"
            raise ConfigError("C155", "decoder.denoiser.grid", f"{list(grid)} is no grid of frequencies", fix)
        self.grid = (height, width)
        self.weight = nn.Parameter(deviation * torch.randn(channels, height, width // 2 + 1, 2))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The filtered map, in single precision at least."""
        features = features.to(torch.promote_types(features.dtype, torch.float32))
        size = features.shape[2:]
        # Pointwise on real and imaginary part, for a product of complex numbers cannot be autocast.
        gains = torch.view_as_complex(self.gains(size).to(features.dtype).contiguous())
        spectrum = torch.fft.rfft2(features, norm="ortho") * gains
        return torch.fft.irfft2(spectrum, s=size, norm="ortho")

    def gains(self, size: Sequence[int]) -> Float[Tensor, "c h half_w 2"]:
        """Real and imaginary parts of the gains of a map of this size."""
        if tuple(size) == self.grid:
            return self.weight
        (height, width), (rows, columns) = self.grid, size
        device = self.weight.device
        vertical = torch.arange(rows, device=device)
        vertical = vertical.where(vertical < (rows + 1) // 2, vertical - rows)
        below, share = _place(vertical * height, rows)
        gains = _between(self.weight, 1, below % height, (below + 1) % height, share)
        below, share = _place(torch.arange(columns // 2 + 1, device=device) * width, columns)
        return _between(gains, 2, below, (below + 1).clamp(max=width // 2), share)


def _place(numerator: Int64[Tensor, "n"], denominator: int) -> tuple[Int64[Tensor, "n"], Float[Tensor, "n"]]:
    """A quotient's whole part and what is left, exactly."""
    below = numerator.div(denominator, rounding_mode="floor")
    return below, (numerator - below * denominator) / denominator


def _between(values: Tensor, axis: int, below: Tensor, above: Tensor, share: Tensor) -> Tensor:
    """Linear interpolation along one axis of four."""
    share = share.to(values.dtype).view(-1, *[1] * (3 - axis))
    return values.index_select(axis, below) * (1 - share) + values.index_select(axis, above) * share
