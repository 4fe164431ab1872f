"""The path of SFANet and M-SFANet: from the coarsest map up, joined with a finer one at each step."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visionkit.decoders.density_parts import conv, grown, step


class Fusion(nn.Module):
    """Zhu et al. 2019, "Dual Path Multi-Scale Fusion Networks with Attention for Crowd Counting", section 3.1.

    At each step the map is enlarged bilinearly, joined with the next finer one and passed through a 1x1 and a 3x3
    convolution. With the maps of VGG-16 at strides 2, 4, 8, 16 it is the published path.

    Args:
        channels: of the maps, finest first.
        widths: channels of the steps, coarsest first; where they are fewer than the steps the last is repeated.
        out_channels: of the 3x3 convolution after them.
        again: join the coarsest map at the second step, too, as in M-SFANet.
        norm: batch normalisation after every convolution.
    """

    def __init__(
        self,
        channels: Sequence[int],
        widths: Sequence[int] = (256, 128, 64),
        out_channels: int = 32,
        again: bool = False,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.again, self.out_channels = again, out_channels
        *skips, before = channels
        self.steps = nn.ModuleList()
        for index, skip in enumerate(reversed(skips)):
            width = widths[min(index, len(widths) - 1)]
            self.steps.append(step(before + skip + (channels[-1] if self._joins_again(index) else 0), width, norm))
            before = width
        self.last = conv(before, out_channels, 3, norm)

    def forward(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b c h w"]:
        """A map of the size of the first."""
        *skips, top = maps
        x = top
        for index, (layers, skip) in enumerate(zip(self.steps, reversed(skips), strict=True)):
            size = skip.shape[2:]
            joined = [grown(x, size), skip, *([grown(top, size)] if self._joins_again(index) else [])]
            x = layers(torch.cat(joined, 1))
        return self.last(x)

    def _joins_again(self, index: int) -> bool:
        return self.again and index == 1
