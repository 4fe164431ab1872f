"""The encoding half of an autoencoder: a map of few channels at a coarser stride."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.layers.latent import LatentResidual, middle, projection


class EdgeAutoencoderEncoder(nn.Module):
    """Encoder of latent diffusion's autoencoder, here for edge maps (Rombach et al. 2022; Ye et al. 2024).

    Its one map are the moments of a latent, before a 1x1 convolution that is the decoder's: twice as many channels as
    the latent has. The image of this encoder is an edge map in 0..1 (see ``datasets.drawings``).

    Args:
        width: channels at full size.
        multipliers: of the width, for each level; every level but the last halves the size.
        blocks: residual blocks of a level.
        latent_channels: of the latent.
        in_chans: channels of the image.
    """

    spatial_dims = 2

    def __init__(
        self,
        width: int = 128,
        multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 2,
        latent_channels: int = 3,
        in_chans: int = 1,
    ) -> None:
        super().__init__()
        self.in_chans = in_chans
        self.channels, self.strides = (2 * latent_channels,), (2 ** (len(multipliers) - 1),)
        layers: list[nn.Module] = [nn.Conv2d(in_chans, width, 3, padding=1)]
        channels = width
        for level, factor in enumerate(multipliers):
            for _ in range(blocks):
                layers.append(LatentResidual(channels, factor * width))
                channels = factor * width
            if level < len(multipliers) - 1:
                # Zeros after the last row and column alone, so that every cell covers the same pixels.
                layers += [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2)]
        self.layers = nn.Sequential(*layers, middle(channels), projection(channels, 2 * latent_channels))

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """One map at ``self.strides``; the image is in 0..1."""
        return [self.layers(2 * image - 1)]
