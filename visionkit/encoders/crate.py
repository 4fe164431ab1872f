"""CRATE: a plain transformer whose layers are steps of an optimisation (Yu et al. 2023, "White-Box Transformers via
Sparse Rate Reduction", arXiv 2306.01129; the networks of github.com/Ma-Lab-Berkeley/CRATE)."""

from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.encoders.released import Tensors, load_released, renamed
from visionkit.errors import ConfigError
from visionkit.layers.dilated_attention import to_groups
from visionkit.layers.normalise import Normalise
from visionkit.layers.pyramid import SimplePyramid

_STEP, _SPARSITY = 0.1, 0.1
"""Of the ISTA step: its size, and the weight of the l1 norm."""
_NAMES = (
    (r"^to_patch_embedding\.1\.", "patch_norm."),
    (r"^to_patch_embedding\.2\.", "embed."),
    (r"^to_patch_embedding\.3\.", "embed_norm."),
    (r"^pos_embedding$", "pos_embed"),
    (r"^transformer\.layers\.(\d+)\.0\.norm\.", r"blocks.\1.norm1."),
    (r"^transformer\.layers\.(\d+)\.0\.fn\.qkv\.", r"blocks.\1.attention.subspaces."),
    (r"^transformer\.layers\.(\d+)\.0\.fn\.to_out\.0\.", r"blocks.\1.attention.proj."),
    (r"^transformer\.layers\.(\d+)\.1\.norm\.", r"blocks.\1.norm2."),
    (r"^transformer\.layers\.(\d+)\.1\.fn\.weight$", r"blocks.\1.sparsify.dictionary"),
)


class Crate(nn.Module):
    """CRATE with a simple feature pyramid over blocks evenly spaced over its depth; strides 4 to 32.

    Args:
        width: channels of the patches.
        depth: blocks.
        heads: subspaces of each attention.
        grid: patches along each side of the picture for which positions are learned; other sizes interpolate them.
        in_chans: channels of the image.
        weights: local file: the authors' release, or a trained visionkit network; errors as of TimmEncoder.
        freeze: keep the blocks as they are: no gradients. The pyramid still learns.

    Raises ConfigError C92 for heads that do not divide the width, fewer blocks than levels of the pyramid, or no grid.
    """

    spatial_dims = 2
    patch = 16

    def __init__(
        self,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        grid: int = 14,
        in_chans: int = 3,
        weights: str | Path | None = None,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        self.in_chans = in_chans
        self.normalise = Normalise(in_chans)
        self.body = CrateBody(width, depth, heads, grid, in_chans, self.patch)
        self.pyramid = SimplePyramid(width, self.patch)
        self.channels, self.strides = self.pyramid.channels, self.pyramid.strides
        levels = len(self.strides)
        _check(width, depth, heads, grid, levels)
        self.chosen = [depth * (level + 1) // levels - 1 for level in range(levels)]
        load_released(self, weights, of_crate)
        if freeze:
            self.body.requires_grad_(False)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Feature maps, finest first."""
        height, width = (side // self.patch for side in image.shape[2:])
        sequences = self.body(self.normalise(image), self.chosen)
        return self.pyramid([tokens[:, 1:].unflatten(1, (height, width)).permute(0, 3, 1, 2) for tokens in sequences])


class CrateClassifier(nn.Module):
    """The published classifier: the class token after the last block of ``encoder``, norm, linear layer."""

    def __init__(self, encoder: Crate, classes: int = 1000) -> None:
        super().__init__()
        self.normalise, self.body = encoder.normalise, encoder.body
        self.norm = nn.LayerNorm(self.body.width)
        self.head = nn.Linear(self.body.width, classes)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Logits of an image in 0..1."""
        (tokens,) = self.body(self.normalise(image), [len(self.body.blocks) - 1])
        return self.head(self.norm(tokens[:, 0]))


class CrateBody(nn.Module):
    """Patches, class token, positions and blocks; arguments as of Crate. The image comes normalised."""

    def __init__(self, width: int, depth: int, heads: int, grid: int, in_chans: int, patch: int) -> None:
        super().__init__()
        self.width, self.grid, self.patch = width, grid, patch
        values = in_chans * patch * patch
        self.patch_norm = nn.LayerNorm(values)
        self.embed = nn.Linear(values, width)
        self.embed_norm = nn.LayerNorm(width)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, grid * grid + 1, width))
        self.blocks = nn.ModuleList(CrateBlock(width, heads) for _ in range(depth))

    def forward(self, image: Float[Tensor, "b c h w"], chosen: Collection[int]) -> list[Float[Tensor, "b l d"]]:
        """The class token and the patches by rows, after each of the chosen blocks."""
        patches = to_groups(image.movedim(1, -1), (self.patch, self.patch), dilated=False).flatten(2)
        tokens = self.embed_norm(self.embed(self.patch_norm(patches)))
        tokens = torch.cat([self.cls_token.expand(tokens.shape[0], -1, -1), tokens], 1)
        tokens = tokens + self._positions([side // self.patch for side in image.shape[2:]])
        outputs = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens)
            if number in chosen:
                outputs.append(tokens)
        return outputs

    def _positions(self, size: Sequence[int]) -> Float[Tensor, "1 l d"]:
        grid = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (self.grid, self.grid))
        grid = F.interpolate(grid, size=tuple(size), mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], 1)


class CrateBlock(nn.Module):
    """Compression of the tokens against subspaces, then a sparse code of them, which has no shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.sparsify = SubspaceAttention(width, heads), IstaStep(width)

    def forward(self, tokens: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """The tokens, at least 0."""
        return self.sparsify(self.norm2(tokens + self.attention(self.norm1(tokens))))


class SubspaceAttention(nn.Module):
    """Attention whose queries, keys and values are one projection (MSSA, equation 11, with a free layer at its end)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.subspaces = nn.Linear(width, width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """The same size."""
        w = self.subspaces(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return self.proj(F.scaled_dot_product_attention(w, w, w).transpose(1, 2).flatten(2))


class IstaStep(nn.Module):
    """One proximal step to a sparse non-negative code in a learned dictionary D (equation 17)::

    relu(z + step * (D^T (z - D z) - sparsity))
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dictionary = nn.Parameter(torch.empty(width, width))
        nn.init.kaiming_uniform_(self.dictionary)

    def forward(self, tokens: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """The same size."""
        residual = tokens - F.linear(tokens, self.dictionary)
        return F.relu(tokens + _STEP * (F.linear(residual, self.dictionary.mT) - _SPARSITY))


def of_crate(tensors: Tensors) -> Tensors:
    """Tensors of ``CrateBody`` from a classifier of github.com/Ma-Lab-Berkeley/CRATE."""
    return renamed({name: value for name, value in tensors.items() if not name.startswith("mlp_head.")}, _NAMES)


def _check(width: int, depth: int, heads: int, grid: int, levels: int) -> None:
    if heads < 1 or width % heads:
        fix = f"give a divisor of encoder.width={width}"
        raise ConfigError("C92", "encoder.heads", f"{heads} heads do not divide {width} channels", fix)
    if depth < levels:
        raise ConfigError("C92", "encoder.depth", f"{depth} blocks give no {levels} levels", f"give {levels} or more")
    if grid < 1:
        raise ConfigError("C92", "encoder.grid", f"{grid} patches make no picture", "give 1 or more")
