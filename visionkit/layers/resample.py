"""Features at the strides that a decoder asks for, whatever strides the encoder has."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.layers.blocks import LINEAR_MODE
from visionkit.layers.padding import pad_to_multiple

_AVERAGE = {2: F.avg_pool2d, 3: F.avg_pool3d}


class Resample(nn.Module):
    """Derives one map for each wanted stride; it has no weights, so the channels are those of the source.

    A stride that exists passes through. Any other comes from the map whose stride is nearest in ratio (of two
    equally near, the finer): averaged over whole cells where its stride divides the wanted one, else interpolated
    linearly. Sizes are ``ceil(source size * source stride / wanted stride)``, which is exactly the padded image's
    size over the wanted stride wherever that is a whole number.

    Args:
        channels: channels of the encoder's maps.
        strides: strides of the encoder's maps, finest first.
        wanted_strides: strides of the maps to return, strictly increasing.
        spatial_dims: 2 for pictures, 3 for volumes.
    """

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], wanted_strides: Sequence[int], spatial_dims: int = 2
    ) -> None:
        super().__init__()
        wanted = tuple(wanted_strides)
        if not wanted or any(a >= b for a, b in zip((0, *wanted), wanted, strict=False)):
            raise ConfigError(
                "C30",
                "decoder.at",
                f"strides {list(wanted)} of a decoder do not increase",
                "list them finest first, each once",
            )
        self.sources = tuple(nearest_stride(strides, stride) for stride in wanted)
        self.channels = tuple(channels[source] for source in self.sources)
        self.strides = wanted
        self.source_strides = tuple(strides[source] for source in self.sources)
        self.spatial_dims = spatial_dims

    def forward(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> list[Float[Tensor, "b _ *wanted"]]:
        """Maps at ``self.strides`` with ``self.channels`` channels."""
        levels = zip(self.sources, self.source_strides, self.strides, strict=True)
        return [self._at(features[source], have, want) for source, have, want in levels]

    def _at(self, features: Tensor, have: int, want: int) -> Tensor:
        if have == want:
            return features
        if want % have == 0:
            ratio = want // have
            return _AVERAGE[self.spatial_dims](pad_to_multiple(features, ratio, cells=1), ratio)
        size = [-(-length * have // want) for length in features.shape[2:]]
        return F.interpolate(features, size=size, mode=LINEAR_MODE[self.spatial_dims], align_corners=False)


def nearest_stride(strides: Sequence[int], wanted: int) -> int:
    """Index of the stride nearest to the wanted one in ratio; of two equally near, the finer."""
    ratios = [max(stride, wanted) / min(stride, wanted) for stride in strides]
    return min(range(len(strides)), key=lambda index: (ratios[index], strides[index]))
