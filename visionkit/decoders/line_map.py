"""One map to read a line from, of any encoder: narrow columns, so that every letter has some."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.decoders.fpn import FPN
from visionkit.layers.dims import require_pictures
from visionkit.layers.resample import Resample
from visionkit.layers.strides import joined, per_axis
from visionkit.types import Stride


class LineMap(nn.Module):
    """The encoder's coarsest map where its columns are narrow enough, else an FPN over all maps.

    Encoders for text keep the width and give such a map. Others have it only where letters are not yet understood:
    the FPN brings down to it what the coarse maps know.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2.
        width: channels of the FPN.
        column_px: width of a column in pixels, at most.
        row_px: least height of a row in pixels; finer rows are averaged.
        path_px: width of the FPN's own columns, which are averaged; None for ``column_px``.

    Raises ConfigError C83 for volumes.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        width: int = 128,
        column_px: int = 4,
        row_px: int = 1,
        path_px: int | None = None,
    ) -> None:
        super().__init__()
        require_pictures("text", spatial_dims)
        self.path: nn.Module | None = None
        self.out_channels, stride = channels[-1], strides[-1]
        if per_axis(stride, 2)[1] > column_px:
            self.path = FPN(channels, strides, spatial_dims, width, stride=path_px or column_px)
            self.out_channels, stride = width, self.path.stride
        rows, columns = per_axis(stride, 2)
        rows = max(rows, row_px)
        averaged = self.path is not None and path_px is not None
        self.stride = joined((rows, column_px if averaged else min(columns, column_px)))
        self.resample = Resample([self.out_channels], [stride], [self.stride])

    def forward(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> Float[Tensor, "b c h w"]:
        """Map at ``self.stride`` with ``self.out_channels`` channels."""
        found = features[-1] if self.path is None else self.path(features)
        return self.resample([found])[0]
