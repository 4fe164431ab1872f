"""A long line in rows: what turns a strip into a picture that is as high as it is wide, and back."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def in_rows(line: Float[Tensor, "b c h w"], rows: int) -> Float[Tensor, "b c rows_h row_w"]:
    """The line cut into ``rows`` pieces of equal width, the first on top."""
    return line.unflatten(3, (rows, -1)).permute(0, 1, 3, 2, 4).flatten(2, 3)


def in_line(picture: Float[Tensor, "b c rows_h row_w"], rows: int) -> Float[Tensor, "b c h w"]:
    """The inverse of ``in_rows``, of a picture or of a map of it."""
    return picture.unflatten(2, (rows, -1)).permute(0, 1, 3, 2, 4).flatten(3, 4)


def written_cells(line: Float[Tensor, "b c h w"], step: int) -> Int64[Tensor, "b"]:
    """Columns of ``step`` pixels up to the paper that repeats the last column: the same however far that goes on."""
    differs = (line != line[..., -1:]).flatten(1, 2).any(1)
    places = torch.arange(1, line.shape[3] + 1, device=line.device)
    return (differs * places).amax(1) // step + 1


def mirrored(line: Float[Tensor, "b c h w"], lengths: Int64[Tensor, "b"]) -> Float[Tensor, "b c h w"]:
    """The first ``lengths`` columns of each line in reverse; what comes behind them stays."""
    places = torch.arange(line.shape[3], device=line.device)
    back = lengths[:, None] - 1 - places
    return _columns(line, torch.where(back >= 0, back, places))


def mirrored_on_paper(line: Float[Tensor, "b c h w"], lengths: Int64[Tensor, "b"]) -> Float[Tensor, "b c h w"]:
    """The first ``lengths`` columns of each line in reverse, and behind them their new last column again."""
    places = torch.arange(line.shape[3], device=line.device)
    return _columns(line, (lengths[:, None] - 1 - places).clamp(min=0))


def _columns(line: Float[Tensor, "b c h w"], index: Int64[Tensor, "b w"]) -> Float[Tensor, "b c h w"]:
    return line.gather(3, index[:, None, None].expand(-1, line.shape[1], line.shape[2], -1))
