"""CAN: scale-aware context on one map, then dilated convolutions."""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.decoders.density_parts import conv, small
from visionkit.layers.context import Context
from visionkit.layers.dims import require_pictures
from visionkit.layers.resample import Resample
from visionkit.types import Decoder, Stride


class CAN(nn.Module):
    """Liu et al. 2019, "Context-Aware Crowd Counting".

    The published network looks at VGG-16's map at stride 8 alone: an encoder that ends there, and no ``path``. Over an
    encoder that goes on, a path brings what its coarser maps know to that stride.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2.
        width: channels after the context.
        widths: channels of the dilated convolutions.
        path: a decoder whose map is looked at, such as an FPN; None takes the encoder's coarsest map.
        stride: to which that map is brought.

    Raises ConfigError C83 for volumes.
    """

    out_channels = 1

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        width: int = 512,
        widths: Sequence[int] = (512, 512, 512, 256, 128, 64),
        path: Callable[..., Decoder] | None = None,
        stride: Stride = 8,
    ) -> None:
        super().__init__()
        require_pictures(type(self).__name__, spatial_dims)
        self.path = None if path is None else path(channels=channels, strides=strides, spatial_dims=spatial_dims)
        before = channels[-1] if self.path is None else self.path.out_channels
        self.resample = Resample([before], [strides[-1] if self.path is None else self.path.stride], [stride])
        self.stride = stride
        self.context = Context(before, width)
        wide = zip((width, *widths), widths, strict=False)
        self.dilated = nn.Sequential(*(conv(before, after, 3, dilation=2) for before, after in wide))
        self.density = small(nn.Conv2d(widths[-1], 1, 1))

    def forward(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b 1 h w"]:
        """Density in objects a cell, at ``self.stride``."""
        seen = features[-1] if self.path is None else self.path(features)
        (seen,) = self.resample([seen])
        return self.density(self.dilated(self.context(seen)))
