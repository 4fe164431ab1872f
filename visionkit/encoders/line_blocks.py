"""Any encoder of pictures as one of long lines of text: the line is cut into rows, which make one picture
(BlockProcessor of HATFormer, arXiv 2410.02179)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.encoders.weights import load_encoder
from visionkit.errors import ConfigError
from visionkit.layers.line_rows import in_line, in_rows, mirrored, mirrored_on_paper, written_cells
from visionkit.layers.padding import cut
from visionkit.layers.strides import per_axis
from visionkit.types import Stride


class LineBlocks(nn.Module):
    """Lines of one height, cut into rows of one picture of constant size; the maps are laid out as the line again.

    Proportions are kept, as a resize of the whole line to a square would not. Lines longer than all rows are
    compressed. Paper fills the rest of the rows and is encoded as everything else is; decoders know what is real. The
    rows do not overlap. A line that is not ``height`` pixels high is brought to it here; a dataset's
    ``prepare.height`` does it better, and knows where each line of a batch ends.

    With ``right_to_left`` the encoder sees each line from its right end on, mirrored (the writing with it, as in the
    paper). The maps are mirrored back, so that a cell still is of the pixels at its own place.

    Args:
        body: encoder of pictures.
        height: of a row in pixels.
        row_px: width of a row.
        rows: that a line may fill.
        right_to_left: whether lines begin at their right end.
        weights: file with the weights of this encoder, or of a trained network that has it.

    Raises ConfigError: C180 rows that the body's coarsest stride does not divide, those of ``load_encoder``.
    """

    spatial_dims = 2

    def __init__(
        self,
        body: Any,
        height: int = 64,
        row_px: int = 384,
        rows: int = 6,
        right_to_left: bool = False,
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.body, self.height, self.row_px, self.rows = body, height, row_px, rows
        self.right_to_left = right_to_left
        self.channels, self.strides, self.in_chans = tuple(body.channels), tuple(body.strides), body.in_chans
        self.step = per_axis(self.strides[-1], 2)
        whole = all(
            length >= step and length % step == 0 for length, step in zip((height, row_px), self.step, strict=True)
        )
        if rows < 1 or not whole:
            what = f"{rows} rows of {height} x {row_px} pixels are no whole cells of {self.step[0]} x {self.step[1]}"
            raise ConfigError("C180", "encoder.height, encoder.row_px", what, "give multiples of the coarsest stride")
        load_encoder(self, weights)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Maps of the line at the body's strides, of an image padded to a multiple of the coarsest."""
        size, step = image.shape[2:], self.step[1]
        cells = written_cells(image, step) if self.right_to_left else None
        if cells is not None:
            image = mirrored_on_paper(image, cells * step)
        width = self._width(*size)
        line = _resized(image, (self.height, width))
        filled = torch.arange(self.rows * self.row_px, device=image.device).clamp(max=width - 1)
        maps = self.body(in_rows(line.index_select(3, filled), self.rows))
        found = []
        for features, stride in zip(maps, self.strides, strict=True):
            strip = self._strip(features, stride, width, size)
            found.append(strip if cells is None else mirrored(strip, cells * (step // per_axis(stride, 2)[1])))
        return found

    def _width(self, height: int, width: int) -> int:
        """Of the line at the rows' height, in whole cells; at most all rows."""
        step, most = self.step[1], self.rows * self.row_px // self.step[1]
        cells = (width * self.height + height * step // 2) // (height * step)
        return torch.sym_max(torch.sym_min(cells, most), 1) * step

    def _strip(self, features: Tensor, stride: Stride, width: int, size: Sequence[int]) -> Tensor:
        """A map of the rows as one of the image."""
        rows, columns = per_axis(stride, 2)
        strip = cut(in_line(features, self.rows), (self.height // rows, width // columns))
        return _resized(strip, (size[0] // rows, size[1] // columns))


def _resized(x: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c *size"]:
    if not torch.compiler.is_exporting() and tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
