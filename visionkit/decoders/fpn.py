"""Feature pyramid decoder: a light sum of all maps, refined once."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.layers.blocks import CONV, ConvNormAct
from visionkit.layers.resample import Resample
from visionkit.layers.strides import reaches
from visionkit.types import Stride


class FPN(nn.Module):
    """Top-down path of Lin et al. 2017, "Feature Pyramid Networks", summed into one map.

    Each map becomes ``width`` channels by a 1x1 convolution and is added to the enlarged sum of the coarser ones;
    one 3x3 convolution refines the finest sum.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2 for pictures, 3 for volumes.
        width: channels of the pyramid and of the output.
        stride: the output has the encoder's finest stride that is not below this one along every axis; finer maps
            are not used.
        at: strides at which the encoder's maps are resampled first; None takes them as they are.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        width: int = 128,
        stride: Stride = 4,
        at: Sequence[Stride] | None = None,
    ) -> None:
        super().__init__()
        self.resample = Resample(channels, strides, strides if at is None else at, spatial_dims)
        channels, strides = self.resample.channels, self.resample.strides
        used = [index for index, have in enumerate(strides) if reaches(have, stride, spatial_dims)]
        self.first = used[0] if used else len(strides) - 1
        self.stride = strides[self.first]
        self.out_channels = width
        self.laterals = nn.ModuleList(CONV[spatial_dims](count, width, 1) for count in channels[self.first :])
        self.refine = ConvNormAct(width, width, spatial_dims=spatial_dims)

    def forward(self, features: Sequence[Float[Tensor, "b _ *coarse"]]) -> Float[Tensor, "b c *space"]:
        """Map at ``self.stride`` with ``self.out_channels`` channels."""
        features = self.resample(features)
        *finer, total = (lateral(x) for lateral, x in zip(self.laterals, features[self.first :], strict=True))
        for lateral in reversed(finer):
            total = lateral + F.interpolate(total, size=lateral.shape[2:], mode="nearest")
        return self.refine(total)
