"""Any timm model as an encoder: hierarchical ones as they are, plain ones through a simple feature pyramid."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.encoders.timm_models import create, create_from, create_pretrained
from visionkit.encoders.weights import load_exactly, part, read_weights
from visionkit.errors import ConfigError
from visionkit.layers.normalise import per_channel
from visionkit.layers.pyramid import PlainMap, SimplePyramid
from visionkit.layers.strides import per_axis


class TimmEncoder(nn.Module):
    """A model of timm without its classifier (Wightman 2019, https://github.com/huggingface/pytorch-image-models).

    A model with maps at several strides gives these maps, of equal strides the deepest. A model with one stride
    throughout (ViT and its kin) gives up to four levels from blocks evenly spaced over its depth, through
    SimplePyramid, or the map of its last block alone. The image is normalised by the mean and deviation that timm
    states for the model, whether or not its weights are loaded.

    Args:
        model: name in timm, with or without a tag: ``resnet18``, ``resnet18.a1_in1k``.
        pretrained: load timm's weights, from the cache or by download.
        in_chans: channels of the image. The first convolution is adapted, its weights included.
        weights: local file with the weights of the timm model, or with those of a trained visionkit network,
            whose encoder is then taken. Goes before ``pretrained``.
        freeze: keep the timm model as it is: no gradients, batch statistics and stochastic depth at rest.
            A pyramid, which never comes trained, still learns.
        drop_path_rate: stochastic depth in training, 0..1.
        out_indices: levels to use; of a plain model the blocks, one for each level or one for all of them.
        pyramid: whether a plain model gives several levels.
        options: further arguments of the timm model.

    Raises:
        ConfigError: C20 unknown model, C21 unknown option, C22 the model cannot serve as an encoder,
            C23 to C25 unusable ``weights``, C26 timm has no weights for the model.
        UnsafeFileError: U20 ``weights`` is a pickle that asks for more than tensors.
        ResourceError: R10 the pretrained weights cannot be fetched.
    """

    spatial_dims = 2
    mean: Tensor
    std: Tensor
    body: Any

    def __init__(
        self,
        model: str,
        pretrained: bool = False,
        in_chans: int = 3,
        weights: str | Path | None = None,
        freeze: bool = False,
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] | None = None,
        pyramid: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        self.in_chans, self.freeze = in_chans, freeze
        options["in_chans"] = in_chans
        options["drop_path_rate"] = drop_path_rate or None
        options["out_indices"] = tuple(sorted(out_indices)) if out_indices else None
        tensors = read_weights(weights) if weights else {}
        ours = part(tensors, "encoder.")
        if weights and not ours:
            self.body = create_from(model, options, tensors, weights)
        else:
            self.body = create_pretrained(model, options) if pretrained and not weights else create(model, options)
        # Persistent: a trained network keeps its statistics even if another version of timm states others.
        mean, std = (per_channel(self.body.pretrained_cfg[name], in_chans) for name in ("mean", "std"))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self._choose_levels(model, out_indices, SimplePyramid if pyramid else PlainMap)
        _probe(self, model)
        if weights and ours:
            load_exactly(self, ours, weights)
        if freeze:
            self.body.requires_grad_(False)
            self.train()

    def _choose_levels(
        self, model: str, out_indices: Sequence[int] | None, levels_of: type[SimplePyramid | PlainMap]
    ) -> None:
        info = self.body.feature_info
        channels, strides = info.channels(), info.reduction()
        self.pyramid: SimplePyramid | PlainMap | None = None
        if len(info.info) > 1 and len({level["reduction"] for level in info.info}) == 1:
            self.pyramid = levels_of(channels[-1], strides[-1])
            self.channels, self.strides = self.pyramid.channels, self.pyramid.strides
            levels, depth = len(self.strides), len(info.info)
            if out_indices is None:
                self.body.out_indices = [depth * (level + 1) // levels - 1 for level in range(levels)]
            elif len(out_indices) not in (1, levels):
                what = f"{len(out_indices)} blocks for the {levels} levels over {model}"
                raise ConfigError("C22", "encoder.out_indices", what, f"name {levels} blocks, or one for all levels")
            return
        self.chosen = [i for i, stride in enumerate(strides) if stride not in strides[i + 1 :]]
        self.channels = tuple(channels[i] for i in self.chosen)
        self.strides = tuple(strides[i] for i in self.chosen)

    def normalize(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The image, 0..1, as the model was trained to see it."""
        return (image - self.mean) / self.std

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Feature maps, finest first, of an image padded to a multiple of the coarsest stride."""
        maps = self.body(self.normalize(image))
        if self.pyramid is not None:
            return self.pyramid(maps)
        if getattr(self.body, "output_fmt", None) == "NHWC":
            maps = [features.permute(0, 3, 1, 2) for features in maps]
        return [maps[i] for i in self.chosen]

    def train(self, mode: bool = True) -> "TimmEncoder":
        """As of any module, but a frozen body stays in evaluation."""
        super().train(mode)
        if self.freeze:
            self.body.eval()
        return self


def _probe(encoder: TimmEncoder, model: str) -> None:
    """Encodes one small image, because not every model of timm takes any size or tells its strides truly."""
    strides = [per_axis(stride, 2) for stride in encoder.strides]
    height, width = 2 * strides[-1][0], 3 * strides[-1][1]
    expected = [(c, height // s, width // t) for c, (s, t) in zip(encoder.channels, strides, strict=True)]
    training = encoder.training
    encoder.eval()
    try:
        with torch.no_grad():
            found = [tuple(x.shape[1:]) for x in encoder(torch.zeros(1, encoder.in_chans, height, width))]
        reason = "" if found == expected else f"it gives maps {found} where {expected} are due"
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
    encoder.train(training)
    if reason:
        what = f"timm's {model} does not encode images of every size ({reason[:200]})"
        raise ConfigError(
            "C22", "encoder.model", what, "choose another, such as resnet50, convnext_tiny or vit_small_patch16_224"
        )
