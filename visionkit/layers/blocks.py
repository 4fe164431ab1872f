"""Small convolutional blocks for pictures and volumes."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED_CONV: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
MAX_POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
BATCH_NORM: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
DROPOUT: dict[int, type[nn.Module]] = {2: nn.Dropout2d, 3: nn.Dropout3d}
LINEAR_MODE = {2: "bilinear", 3: "trilinear"}
"""Modules and interpolation modes by the number of spatial dimensions."""


class ConvNormAct(nn.Sequential):
    """Convolution, normalisation, activation; the size stays ``ceil(size / stride)`` for odd kernels.

    Args:
        in_channels: channels that come in.
        out_channels: channels that go out.
        kernel_size: odd; the borders are padded with zeros.
        stride: step of the convolution, one number or one for each axis.
        dilation: spacing of the kernel's points.
        spatial_dims: 2 for pictures, 3 for volumes.
        norm: makes the normalisation from a number of channels; batch normalisation when None.
        act: makes the activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int | Sequence[int] = 1,
        dilation: int = 1,
        spatial_dims: int = 2,
        norm: Callable[[int], nn.Module] | None = None,
        act: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        padding = dilation * (kernel_size // 2)
        # The normalisation has a shift of its own, which makes the convolution's bias redundant.
        conv = CONV[spatial_dims](
            in_channels, out_channels, kernel_size, stride=stride, padding=padding, dilation=dilation, bias=False
        )
        super().__init__(conv, (norm or BATCH_NORM[spatial_dims])(out_channels), act())


class InstanceNorm(nn.GroupNorm):
    """Each channel of each sample to mean 0 and deviation 1, then scale and shift (Ulyanov et al. 2016).

    For any number of spatial dimensions and any size: torch's own refuses maps of a single cell.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, channels, eps)

    def forward(self, features: Float[Tensor, "b c *space"]) -> Float[Tensor, "b c *space"]:
        """The same size."""
        return torch.group_norm(features, self.num_groups, self.weight, self.bias, self.eps)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each position, for any number of spatial dimensions."""

    def forward(self, features: Float[Tensor, "b c *space"]) -> Float[Tensor, "b c *space"]:
        """Each position to mean 0 and deviation 1 over its channels, then scale and shift."""
        last = features.movedim(1, -1)
        return F.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps).movedim(-1, 1)


def small_normal(module: nn.Module) -> None:
    """Convolutions start with a deviation of 0.01 and a bias of 0.0001 (FFNet, HRNet); for ``Module.apply``."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.constant_(module.bias, 1e-4)
