"""The decoding half of an autoencoder with a latent, and the trained whole as diffusion needs it."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from visionkit.encoders.weights import find_weights, part, read_weights
from visionkit.errors import ConfigError
from visionkit.layers.dims import require_pictures
from visionkit.layers.latent import LatentResidual, Posterior, middle, projection
from visionkit.layers.resample import Resample
from visionkit.types import Encoder, Features, Stride


class LatentDecoder(nn.Module):
    """From features through a latent to an edge map (decoder of Rombach et al. 2022; Ye et al. 2024).

    With an autoencoder's encoder it is the other half of it. Of any encoder all maps are reduced by 1x1 convolutions
    to the moments of the latent, brought to its stride and added.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2.
        width: channels at full size.
        multipliers: of the width, for each level, finest first; there is a factor of two between levels.
        blocks: residual blocks of a level, less one.
        latent_channels: of the latent.

    Raises ConfigError C83 for volumes.
    """

    out_channels, stride = 1, 1

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        width: int = 128,
        multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 2,
        latent_channels: int = 3,
    ) -> None:
        super().__init__()
        require_pictures(type(self).__name__, spatial_dims)
        self.latent_channels, self.latent_stride = latent_channels, 2 ** (len(multipliers) - 1)
        to_latent = [self.latent_stride]
        self.resample = nn.ModuleList(Resample([a], [b], to_latent) for a, b in zip(channels, strides, strict=True))
        self.moments = nn.ModuleList(nn.Conv2d(count, 2 * latent_channels, 1) for count in channels)
        widest = multipliers[-1] * width
        layers: list[nn.Module] = [nn.Conv2d(latent_channels, latent_channels, 1)]
        layers += [nn.Conv2d(latent_channels, widest, 3, padding=1), middle(widest)]
        count = widest
        for level in reversed(range(len(multipliers))):
            for _ in range(blocks + 1):
                layers.append(LatentResidual(count, multipliers[level] * width))
                count = multipliers[level] * width
            if level:
                layers += [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(count, count, 3, padding=1)]
        self.layers = nn.Sequential(*layers, projection(count, 1))

    def posterior(self, features: Features) -> Posterior:
        """The distribution of the latent, at ``latent_stride``."""
        maps = [self.resample[index]([x])[0] for index, x in enumerate(features)]
        total, *others = (moments(x) for moments, x in zip(self.moments, maps, strict=True))
        return Posterior.of(sum(others, total))

    def decode(self, latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 height width"]:
        """The probability of an edge, which may lie outside 0..1, at ``latent_stride`` times the size."""
        return (self.layers(latent) + 1) / 2

    def forward(self, features: Features) -> Float[Tensor, "b 1 height width"]:
        """What the latent's mean is decoded to, at the size of the padded image."""
        return self.decode(self.posterior(features).mean)


class EdgeAutoencoder(nn.Module):
    """Both halves of a trained autoencoder of edge maps; they do not learn any more.

    Args:
        encoder: of edge maps, with one channel.
        decoder: called with what the encoder offers, a LatentDecoder.
        weights: of the run that trained it: its folder, its bundle, or a file of weights; None leaves it as it is, to
            be filled with the weights of a whole network.

    Raises:
        ConfigError: C157 no weights there, C158 weights of something else, C24 a file that holds none.
        UnsafeFileError: U20 the file asks to run code.
    """

    def __init__(
        self, encoder: Encoder, decoder: Callable[..., LatentDecoder], weights: str | Path | None = None
    ) -> None:
        super().__init__()
        self.encoder: Any = encoder
        shape = {"channels": encoder.channels, "strides": encoder.strides, "spatial_dims": encoder.spatial_dims}
        self.decoder = decoder(**shape)
        self.trained = weights is not None
        if weights is not None:
            self._load(_weights_file(weights))
        self.register_load_state_dict_pre_hook(_filled)
        self.requires_grad_(False)

    @property
    def latent_channels(self) -> int:
        """Channels of the latent."""
        return self.decoder.latent_channels

    @property
    def stride(self) -> int:
        """Of the latent."""
        return self.decoder.latent_stride

    def encode(self, edges: Float[Tensor, "b 1 height width"]) -> Posterior:
        """The distribution of an edge map's latent; the map is in 0..1, its sides are multiples of ``stride``."""
        return self.decoder.posterior(self.encoder(edges))

    def decode(self, latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 height width"]:
        """The probability of an edge, which may lie outside 0..1."""
        return self.decoder.decode(latent)

    def _load(self, file: Path) -> None:
        tensors = read_weights(file)
        tasks = {match[0] for name in tensors if (match := re.match(r"tasks\.[^.]+\.(?=decoder\.)", name))}
        candidates = [tensors, *(_half(tensors, "encoder.") | _half(part(tensors, task), "decoder.") for task in tasks)]
        for state in candidates:
            shapes = {name: value.shape for name, value in state.items()}
            if shapes == {name: value.shape for name, value in self.state_dict().items()}:
                self.load_state_dict(state)
                return
        what = "these are not the weights of this autoencoder"
        fix = "give encoder and decoder the width, multipliers and blocks that they were trained with"
        raise ConfigError("C158", file, what, fix)


def _filled(autoencoder: EdgeAutoencoder, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Weights that come with a whole network are trained, too, if none of the autoencoder's own is missing."""
    complete = all(prefix + name in state for name in autoencoder.state_dict())
    autoencoder.trained = autoencoder.trained or complete


def _half(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if name.startswith(prefix)}


def _weights_file(place: str | Path) -> Path:
    file = find_weights(place)
    if file is None:
        what = "holds no weights" if Path(place).is_dir() else "there is no such file or folder"
        fix = "name the run folder of python train.py experiment=edges/autoencoder_bsds500"
        raise ConfigError("C157", place, what, fix)
    return file
