"""DiffusionEdge as a decoder: edges are sampled in the latent of an autoencoder and decoded."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.decoders.autoencoder import EdgeAutoencoder
from visionkit.errors import ConfigError
from visionkit.generation.decoupled_diffusion import (
    SMALLEST_TIME,
    Denoising,
    noised,
    restored,
    sample,
    schedule,
)
from visionkit.seeding import fold
from visionkit.types import IGNORE_INDEX, Features, Stride


class LatentDiffusion(nn.Module):
    """Samples the edges of a picture by decoupled diffusion in a latent (Ye et al. 2024, "DiffusionEdge").

    The noise of sampling is a function of the seed and of the picture's size, the same for every picture of a batch,
    so that the same picture always gives the same edges. In training the noise comes from torch's own generator.

    Args:
        channels: channels of the encoder's maps, finest first.
        strides: their strides, strictly increasing.
        spatial_dims: 2.
        autoencoder: trained on edge maps; it stays as it is.
        denoiser: called with the first three and ``latent_channels`` and ``stride``, a DiffusionUNet.
        scale: latents are multiplied by it.
        steps: of sampling.
        split_last: divides the last step into two, the second of which is tiny: one prediction more.
        seed: of the noise in sampling.
        require_weights: refuses to learn on an autoencoder that was given no weights; otherwise a line on stderr says
            that it has none.

    Raises ConfigError: C159 no step of sampling, C160 training without weights of the autoencoder.
    """

    out_channels, stride = 1, 1

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int,
        autoencoder: EdgeAutoencoder,
        denoiser: Callable[..., Any],
        scale: float = 0.3,
        steps: int = 5,
        split_last: bool = True,
        seed: int = 0,
        require_weights: bool = False,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ConfigError("C159", "decoder.steps", f"{steps} are no steps", "give 1 or more, such as 5")
        self.autoencoder = autoencoder
        self.denoiser = denoiser(
            channels=channels,
            strides=strides,
            spatial_dims=spatial_dims,
            latent_channels=autoencoder.latent_channels,
            stride=autoencoder.stride,
        )
        self.times = schedule(steps, split_last)
        self.scale, self.seed, self.require_weights = scale, seed, require_weights
        self._warned = False

    def forward(self, features: Features) -> Float[Tensor, "b 1 height width"]:
        """The probability of an edge, at the size of the padded image or more."""
        condition = self.denoiser.condition(features)
        batch, _, *size = condition.first.shape
        random = torch.Generator().manual_seed(fold(self.seed, "sampling"))
        shape = (1, self.autoencoder.latent_channels, *size)
        precision = torch.promote_types(condition.first.dtype, torch.float32)

        def draw() -> Tensor:
            noise = torch.randn(shape, generator=random, device="cpu")
            return noise.to(condition.first.device, precision).expand(batch, -1, -1, -1)

        predict = partial(self.denoiser, condition=condition)
        return self.decode(sample(predict, draw(), draw, self.times)).clamp(0, 1)

    def denoise(self, features: Features, target: Float[Tensor, "b h w"]) -> Denoising:
        """Noise at random times on the latents of drawn edges, and what is predicted of it.

        Args:
            features: of the pictures.
            target: drawn edges in 0..1, -1 where they are unknown, which is taken for ground.
        """
        self._check_weights()
        condition = self.denoiser.condition(features)
        stride, size = self.autoencoder.stride, condition.first.shape[2:]
        missing = [stride * cells - length for cells, length in zip(size, target.shape[1:], strict=True)]
        target = F.pad(target, (0, missing[1], 0, missing[0]), value=IGNORE_INDEX)
        draw = _Draws(None if self.training else fold(self.seed, "loss"), target.device)
        with torch.no_grad():
            posterior = self.autoencoder.encode(target.clamp(min=0)[:, None].to(self._dtype))
            clean = self.scale * posterior.at(draw.normal(posterior.mean.shape))
        time = SMALLEST_TIME + (1 - SMALLEST_TIME) * draw.uniform(len(target))
        noise = draw.normal(clean.shape)
        noisy = noised(clean, noise, time)
        drift, found_noise = self.denoiser(noisy, time, condition)
        return Denoising(
            clean=clean,
            noise=noise,
            time=time,
            found_drift=drift,
            found_noise=found_noise,
            found_clean=restored(noisy, drift, found_noise, time),
            known=F.avg_pool2d((target >= 0)[:, None].to(clean.dtype), stride),
            decode=self.decode,
            target=target,
        )

    def decode(self, latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 height width"]:
        """The probability of an edge, which may lie outside 0..1, from a scaled latent."""
        return self.autoencoder.decode((latent / self.scale).to(self._dtype))

    @property
    def _dtype(self) -> torch.dtype:
        """Of the autoencoder's weights."""
        return next(self.autoencoder.parameters()).dtype

    def _check_weights(self) -> None:
        if self.autoencoder.trained or not self.training or self._warned:
            return
        place = "decoder.autoencoder.weights"
        what = "the autoencoder has no trained weights"
        fix = "train one (python train.py experiment=edges/autoencoder_bsds500) and name its run folder"
        if self.require_weights:
            raise ConfigError("C160", place, what, fix)
        print(f"visionkit: {place}: {what}; nothing useful can be learnt", file=sys.stderr)
        self._warned = True


class _Draws:
    """Random numbers: of torch's own generator, or of a seed."""

    def __init__(self, seed: int | None, device: torch.device) -> None:
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)
        self.device = device

    def normal(self, shape: Sequence[int]) -> Tensor:
        if self.generator is None:
            return torch.randn(tuple(shape), device=self.device)
        return torch.randn(tuple(shape), generator=self.generator, device="cpu").to(self.device)

    def uniform(self, count: int) -> Tensor:
        if self.generator is None:
            return torch.rand(count, device=self.device)
        return torch.rand(count, generator=self.generator, device="cpu").to(self.device)
