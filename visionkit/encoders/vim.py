"""Vim: a plain encoder of patches whose blocks scan their sequence both ways (Zhu et al. 2024, "Vision Mamba",
arXiv 2401.09417; the networks with the class token in the middle in github.com/hustvl/Vim)."""

from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from timm.layers import DropPath
from timm.layers.weight_init import lecun_normal_
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.encoders.mamba_weights import of_vim
from visionkit.encoders.released import load_released
from visionkit.layers.normalise import Normalise
from visionkit.layers.pyramid import SimplePyramid
from visionkit.layers.ssm import SelectiveSSM


class Vim(nn.Module):
    """Vim with a simple feature pyramid over blocks evenly spaced over its depth; strides 4 to 32.

    Args:
        width: channels of the patches.
        depth: blocks.
        states: states of each scanned channel.
        grid: patches along each side of the picture for which positions are learned; other sizes interpolate them.
        in_chans: channels of the image.
        drop_path_rate: stochastic depth of the last block in training, 0..1; from 0 it rises evenly.
        weights: local file: the authors' release, or a trained visionkit network; errors as of TimmEncoder.
        freeze: keep the blocks as they are: no gradients, stochastic depth at rest. The pyramid still learns.
    """

    spatial_dims = 2
    patch = 16

    def __init__(
        self,
        width: int = 192,
        depth: int = 24,
        states: int = 16,
        grid: int = 14,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        weights: str | Path | None = None,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        self.in_chans, self.freeze = in_chans, freeze
        self.normalise = Normalise(in_chans)
        self.body = VimBody(width, depth, states, grid, in_chans, drop_path_rate, self.patch)
        self.pyramid = SimplePyramid(width, self.patch)
        self.channels, self.strides = self.pyramid.channels, self.pyramid.strides
        levels = len(self.strides)
        self.chosen = [depth * (level + 1) // levels - 1 for level in range(levels)]
        load_released(self, weights, of_vim)
        if freeze:
            self.body.requires_grad_(False)
            self.train()

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Feature maps, finest first."""
        height, width = (side // self.patch for side in image.shape[2:])
        sequences = self.body(self.normalise(image), self.chosen)
        maps = [_without_middle(tokens).unflatten(1, (height, width)).permute(0, 3, 1, 2) for tokens in sequences]
        return self.pyramid(maps)

    def train(self, mode: bool = True) -> "Vim":
        """As of any module, but a frozen body stays in evaluation."""
        super().train(mode)
        if self.freeze:
            self.body.eval()
        return self


class VimClassifier(nn.Module):
    """The published classifier: the class token after the last block of ``encoder``, norm, linear layer."""

    def __init__(self, encoder: Vim, classes: int = 1000) -> None:
        super().__init__()
        self.normalise, self.body = encoder.normalise, encoder.body
        self.norm = nn.RMSNorm(self.body.width, eps=1e-5)
        self.head = nn.Linear(self.body.width, classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Logits of an image in 0..1."""
        (tokens,) = self.body(self.normalise(image), [len(self.body.blocks) - 1])
        return self.head(self.norm(tokens[:, _middle(tokens)]))


class VimBody(nn.Module):
    """Patches, positions, class token and blocks; arguments as of Vim. The image comes normalised."""

    def __init__(
        self, width: int, depth: int, states: int, grid: int, in_chans: int, drop_path_rate: float, patch: int
    ) -> None:
        super().__init__()
        self.width, self.grid = width, grid
        self.patches = nn.Conv2d(in_chans, width, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, grid * grid + 1, width))
        rates = torch.linspace(0, drop_path_rate, depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(VimBlock(width, states, rate, depth) for rate in rates)
        lecun_normal_(self.patches.weight)
        nn.init.zeros_(self.patches.bias)  # type: ignore[arg-type]
        for learned in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(learned, std=0.02)

    def forward(self, image: Float[Tensor, "b c h w"], chosen: Collection[int]) -> list[Float[Tensor, "b l d"]]:
        """Patches by rows with the class token in their middle, after each of the chosen blocks."""
        patches = self.patches(image)
        positions, of_token = self._positions(patches.shape[2:])
        cells = (patches + positions).flatten(2).transpose(1, 2)
        middle = cells.shape[1] // 2
        token = (self.cls_token + of_token).expand(cells.shape[0], -1, -1)
        tokens, outputs = torch.cat([cells[:, :middle], token, cells[:, middle:]], 1), []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens)
            if number in chosen:
                outputs.append(tokens)
        return outputs

    def _positions(self, size: Sequence[int]) -> tuple[Float[Tensor, "1 d h w"], Float[Tensor, "1 1 d"]]:
        middle = _middle(self.pos_embed)
        grid = _without_middle(self.pos_embed).transpose(1, 2).unflatten(2, (self.grid, self.grid))
        grid = F.interpolate(grid, size=tuple(size), mode="bicubic", align_corners=False)
        return grid, self.pos_embed[:, middle : middle + 1]


class VimBlock(nn.Module):
    """A bidirectional scan of the normalised sequence, added to it."""

    def __init__(self, width: int, states: int, drop_path_rate: float, depth: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.mixer = BidirectionalMamba(width, states)
        self.drop_path = DropPath(drop_path_rate)
        with torch.no_grad():
            self.mixer.out_proj.weight.div_(depth**0.5)  # the residual's variance would grow with the depth

    def forward(self, tokens: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """The sequence."""
        return tokens + self.drop_path(self.mixer(self.norm(tokens)))


class BidirectionalMamba(nn.Module):
    """Two Mamba branches, one on the reversed sequence, with a shared gate; their mean goes out (algorithm 1)."""

    def __init__(self, width: int, states: int, kernel_size: int = 4) -> None:
        super().__init__()
        inner = 2 * width
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv1d(2 * inner, 2 * inner, kernel_size, padding=kernel_size - 1, groups=2 * inner)
        self.ssm = SelectiveSSM(inner, states, rank=-(-width // 16), directions=2)
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, tokens: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """The mixed sequence."""
        x, gate = self.in_proj(tokens).chunk(2, dim=-1)
        # The reversal comes before the convolution, which looks back only.
        both = torch.cat([x, x.flip(1)], dim=-1).transpose(1, 2)
        both = F.silu(self.conv(both)[..., : tokens.shape[1]]).transpose(1, 2)
        forward, backward = self.ssm(both.unflatten(-1, (2, -1))).unbind(2)
        return self.out_proj((forward + backward.flip(1)) / 2 * F.silu(gate))


def _middle(tokens: Float[Tensor, "b l d"]) -> int:
    """Where the class token stands: after half of the patches, rounded down."""
    return (tokens.shape[1] - 1) // 2


def _without_middle(tokens: Float[Tensor, "b l d"]) -> Float[Tensor, "b m d"]:
    middle = _middle(tokens)
    return torch.cat([tokens[:, :middle], tokens[:, middle + 1 :]], dim=1)
