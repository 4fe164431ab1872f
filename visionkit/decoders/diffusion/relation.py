"""The relation layer: what is being denoised looks at the picture that it is conditioned by."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.decoders.diffusion.blocks import group_norm

_HEADS = 8


class Relation(nn.Module):
    """Cross-attention from a condition to features on pooled maps, mixed into the features (Ye et al. 2024, fig. 3).

    Queries are the condition's windows, keys and values those of the features; the products are not divided by the
    square root of the channels. What the attention finds is added to the condition, refined, enlarged and added to a
    normalised mixture of both maps.

    Args:
        condition_channels: of the condition.
        channels: of features and output, a multiple of eight.
        window: side of the cells that are averaged before attention.
        dropout: in the refinement.
    """

    def __init__(self, condition_channels: int, channels: int, window: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.window = window
        self.condition_in, self.features_in = _entry(condition_channels, channels), _entry(channels, channels)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        self.refine = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(2 * channels, channels, 1),
            nn.Dropout(dropout),
        )
        self.mix, self.norm = nn.Conv2d(2 * channels, channels, 1), group_norm(channels)
        self.out = nn.Conv2d(channels, channels, 1)
        for module in (self.query, self.key, self.value, self.refine, self.mix, self.out):
            module.apply(_initialise)

    def forward(
        self, condition: Float[Tensor, "b k h w"], features: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        """The features, informed; height and width are multiples of the window."""
        condition, features = self.condition_in(condition), self.features_in(features)
        mixture = self.norm(features + self.mix(torch.cat([condition, features], 1)))
        asking = F.avg_pool2d(condition, self.window)
        answer = asking + self._attended(asking, F.avg_pool2d(features, self.window))
        answer = answer + self.refine(answer)
        enlarged = F.interpolate(answer, size=features.shape[2:], mode="bilinear", align_corners=True)
        return mixture + self.out(enlarged)

    def _attended(self, asking: Float[Tensor, "b c h w"], asked: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        _, channels, height, width = asking.shape
        places = positions(channels, height, width, asking.device).to(asking.dtype)
        query, key = ((x + places).flatten(2).transpose(1, 2) for x in (asking, asked))
        query, key, value = (
            linear(x).unflatten(2, (_HEADS, -1)).transpose(1, 2)
            for linear, x in ((self.query, query), (self.key, key), (self.value, key))
        )
        found = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return found.transpose(2, 3).reshape(asking.shape)


def positions(channels: int, height: int, width: int, device: torch.device | None = None) -> Float[Tensor, "c h w"]:
    """Sines and cosines of row and column, counted from 1 (Carion et al. 2020, not normalised); ``channels`` by 4."""
    half = channels // 2
    wavelengths = 10000 ** (2 * (torch.arange(half, device=device) // 2) / half)
    rows, columns = (
        _waves(torch.arange(1, length + 1, device=device)[:, None] / wavelengths) for length in (height, width)
    )
    grid = [rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)]
    return torch.cat(grid, 2).permute(2, 0, 1)


def _waves(angles: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    return torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], 2).flatten(1)


def _entry(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels, momentum=0.03, eps=0.001)
    )


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
