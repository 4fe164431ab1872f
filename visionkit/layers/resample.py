"""Features at the strides that a decoder asks for, whatever strides the encoder has."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.layers.blocks import LINEAR_MODE
from visionkit.layers.padding import pad_to_multiple
from visionkit.layers.strides import increase, joined, per_axis, ratio
from visionkit.types import Stride

_AVERAGE = {2: F.avg_pool2d, 3: F.avg_pool3d}


class Resample(nn.Module):
    """Derives one map for each wanted stride; it has no weights, so the channels are those of the source.

    A stride that exists passes through. Any other comes from the map whose stride is nearest in ratio, all axes
    multiplied (of two equally near, the finer): averaged over whole cells where its stride divides the wanted one,
    else interpolated linearly. Sizes are ``ceil(source size * source stride / wanted stride)``, which is exactly the
    padded image's size over the wanted stride wherever that is a whole number.

    Args:
        channels: channels of the encoder's maps.
        strides: strides of the encoder's maps, finest first.
        wanted_strides: strides of the maps to return, strictly increasing.
        spatial_dims: 2 for pictures, 3 for volumes.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        wanted_strides: Sequence[Stride],
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        wanted = [per_axis(stride, spatial_dims) for stride in wanted_strides]
        if not wanted or not increase(wanted, spatial_dims):
            raise ConfigError(
                "C30",
                "decoder.at",
                f"strides {list(wanted_strides)} of a decoder do not increase",
                "list them finest first, each once",
            )
        have = [per_axis(stride, spatial_dims) for stride in strides]
        self.sources = tuple(nearest_stride(have, stride, spatial_dims) for stride in wanted)
        self.channels = tuple(channels[source] for source in self.sources)
        self.strides = tuple(joined(stride) for stride in wanted)
        self.steps = [(source, have[source], stride) for source, stride in zip(self.sources, wanted, strict=True)]
        self.spatial_dims = spatial_dims

    def forward(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> list[Float[Tensor, "b _ *wanted"]]:
        """Maps at ``self.strides`` with ``self.channels`` channels."""
        return [self._at(features[source], have, want) for source, have, want in self.steps]

    def _at(self, features: Tensor, have: tuple[int, ...], want: tuple[int, ...]) -> Tensor:
        if have == want:
            return features
        steps = list(zip(have, want, strict=True))
        if all(fine <= coarse and coarse % fine == 0 for fine, coarse in steps):
            window = tuple(coarse // fine for fine, coarse in steps)
            return _AVERAGE[self.spatial_dims](pad_to_multiple(features, window, cells=1), window)
        size = [-(-length * a // b) for length, (a, b) in zip(features.shape[2:], steps, strict=True)]
        return F.interpolate(features, size=size, mode=LINEAR_MODE[self.spatial_dims], align_corners=False)


def nearest_stride(strides: Sequence[Stride], wanted: Stride, spatial_dims: int = 2) -> int:
    """Index of the stride nearest to the wanted one in ratio; of two equally near, the finer, which comes first."""
    ratios = [ratio(stride, wanted, spatial_dims) for stride in strides]
    return ratios.index(min(ratios))
