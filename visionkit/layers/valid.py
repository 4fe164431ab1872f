"""Where a padded picture is real."""

from jaxtyping import Bool
from torch import Tensor


def real_size(valid: Bool[Tensor, "*space"]) -> tuple[int, ...]:
    """Size before padding, which lies at the end of every axis; the whole size where nothing is valid."""
    if not valid.any():
        return tuple(valid.shape)
    axes = (valid.movedim(axis, 0).reshape(length, -1).any(1) for axis, length in enumerate(valid.shape))
    return tuple(int(filled.nonzero().max()) + 1 for filled in axes)
