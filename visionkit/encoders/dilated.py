"""Dilated transformer: a pyramid of maps by attention of local and global scope in turn."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.encoders.weights import load_encoder
from visionkit.errors import ConfigError
from visionkit.layers.blocks import CONV
from visionkit.layers.dilated_stage import DilatedStage, initialise
from visionkit.layers.normalise import Normalise
from visionkit.layers.patches import PatchMerging
from visionkit.layers.strides import joined, per_axis
from visionkit.types import Stride


class DilatedEncoder(nn.Module):
    """Encoder of Wu et al. 2022, "D-Former" (arXiv 2201.00462), for pictures and for volumes.

    Patches become tokens; each stage is a position encoding and blocks of local and global scope in turn, and halves
    the grid along every axis for the next. Maps taken behind blocks are normalised.

    Args:
        widths: channels of the stages.
        depths: blocks of the stages.
        heads: heads of the stages.
        patch: cells of the image for one token, one number or one for each axis.
        group: tokens that attend to each other, one number or one for each axis.
        spatial_dims: 2 for pictures, 3 for volumes.
        in_chans: channels of the image.
        mlp_ratio: hidden channels of the perceptrons over channels.
        drop_path_rate: stochastic depth of the last block, 0..1; it rises from 0 at the first.
        skips: ``outputs``: a map is what its stage gives. ``inputs``: all but the coarsest are what their stages
            take, as in the published network.
        weights: local file with the weights of such an encoder, or of a trained network with one.

    Raises:
        ConfigError: C80 wrong number of axes, C81 heads that do not divide the channels, C82 lists or ``skips`` that
            do not fit, C23 to C25 unusable ``weights``.
        UnsafeFileError: U20 ``weights`` is a pickle that asks for more than tensors.
    """

    def __init__(
        self,
        widths: Sequence[int] = (96, 192, 384, 768),
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        patch: Stride = 4,
        group: Stride = 8,
        spatial_dims: int = 2,
        in_chans: int = 3,
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.0,
        skips: str = "outputs",
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        _check(widths, depths, heads, skips)
        patch, group = per_axis(patch, spatial_dims), per_axis(group, spatial_dims)
        self.spatial_dims, self.in_chans, self.channels = spatial_dims, in_chans, tuple(widths)
        self.strides = tuple(joined([length << level for length in patch]) for level in range(len(widths)))
        # The data of volumes standardises them: their values have no common range.
        self.normalise = Normalise(in_chans) if spatial_dims == 2 else nn.Identity()
        self.embed = CONV[spatial_dims](in_chans, widths[0], patch, stride=patch)
        self.embed_norm = nn.LayerNorm(widths[0])
        total = sum(depths)
        rates = (drop_path_rate * block / max(1, total - 1) for block in range(total))
        self.stages = nn.ModuleList(
            DilatedStage(width, n, group, [next(rates) for _ in range(depth)], mlp_ratio)
            for width, n, depth in zip(widths, heads, depths, strict=True)
        )
        halves = (2,) * spatial_dims
        self.merges = nn.ModuleList(PatchMerging(a, b, halves) for a, b in pairwise(widths))
        self.inputs = skips == "inputs"
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in (widths[-1:] if self.inputs else widths))
        self.apply(initialise)
        load_encoder(self, weights)

    def forward(self, image: Float[Tensor, "b c *space"]) -> list[Float[Tensor, "b _ *coarse"]]:
        """Feature maps, finest first, of an image padded to a multiple of the coarsest stride."""
        x = self.embed_norm(self.embed(self.normalise(image)).movedim(1, -1))
        maps = []
        for level, stage in enumerate(self.stages):
            if level:
                x = self.merges[level - 1](x)
            maps.append(x)
            x = stage(x)
            if not self.inputs or level == len(self.stages) - 1:
                maps[-1] = self.norms[-1 if self.inputs else level](x)
        return [x.movedim(-1, 1) for x in maps]


def _check(widths: Sequence[int], depths: Sequence[int], heads: Sequence[int], skips: str) -> None:
    if not widths or not len(widths) == len(depths) == len(heads):
        what = f"{len(widths)} widths, {len(depths)} depths and {len(heads)} numbers of heads"
        raise ConfigError("C82", "encoder", what, "give one of each for every stage")
    if skips not in ("inputs", "outputs"):
        raise ConfigError("C82", "encoder.skips", f"there is no {skips!r}", "choose inputs or outputs")
