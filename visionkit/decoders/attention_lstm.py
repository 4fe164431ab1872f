"""LSTM that writes a sequence token by token and looks at the feature map of any encoder before each (Bahdanau et al.
2015, arXiv 1409.0473, over a map as in SAR, Li et al. 2019, arXiv 1811.00751)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.layers import additive_attention
from visionkit.layers.additive_attention import RecurrentState
from visionkit.layers.positions import grid_sinusoids
from visionkit.layers.resample import Resample
from visionkit.layers.valid import valid_cells
from visionkit.types import Features, Stride


class AttentionLSTM(nn.Module):
    """An LSTM over the last token and what its state looked at; the first state comes from the mean of all real cells.

    Args:
        channels, strides, spatial_dims: what the encoder offers.
        vocabulary: number of token ids.
        stride: of the map that is read, resampled where the encoder lacks it; None for the coarsest there is.
        width: channels of tokens, cells and LSTM.
        keys: channels of the attention.
        location: cells of a row around each that tell where the token before was looked for; 0 for none
            (``layers.additive_attention``). Lines are read on from there; else a reader loses its place in long ones.
        dropout: of tokens, cells and outputs in training.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        vocabulary: int = 256,
        stride: Stride | None = None,
        width: int = 256,
        keys: int = 128,
        location: int = 0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.vocabulary, self.width = vocabulary, width
        self.resample = Resample(channels, strides, [strides[-1] if stride is None else stride], spatial_dims)
        self.stride = self.resample.strides[0]
        self.enter = nn.Linear(self.resample.channels[0], width)
        self.last = nn.Parameter(torch.empty(width))
        nn.init.normal_(self.last, std=width**-0.5)
        self.embed = nn.Embedding(vocabulary, width)
        self.lstm = additive_attention.AttentionLSTM(width, width, width, keys, location=location)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.lstm.out_channels, vocabulary)

    def memory(
        self, features: Features, valid: Bool[Tensor, "b *space"] | None = None
    ) -> tuple[Float[Tensor, "b n c"], Bool[Tensor, "b rows columns"]]:
        """What is read: a vector for each cell of the map, row by row, and which cells are looked at.

        Each row has a column more than the map: behind the last real cell of each picture stands one that means the
        end, to be looked at before it is written. ``valid`` is at the image's size; without it every cell is real.
        """
        cells = self.resample(features)[0]
        size = cells.shape[2:]
        x = self.enter(cells.flatten(2).transpose(1, 2))
        x = self.dropout(x + grid_sinusoids(size, self.width, x.device).to(x.dtype))
        rows = (math.prod(size[:-1]), size[-1])
        real = torch.ones_like(x[..., 0], dtype=torch.bool)
        if valid is not None:
            real = valid_cells(valid, size, self.stride).flatten(1)
        behind = F.pad(_last(real).unflatten(1, rows), (1, 0))
        x = F.pad(x.unflatten(1, rows), (0, 0, 0, 1))
        x = torch.where(behind[..., None], self.last.to(x.dtype), x)
        return x.flatten(1, 2), F.pad(real.unflatten(1, rows), (0, 1)) | behind

    def start(
        self, memory: Float[Tensor, "b n c"], valid: Bool[Tensor, "b rows columns"] | Bool[Tensor, "b n"] | None = None
    ) -> RecurrentState:
        """State before the first token; what the attention needs of the memory is computed here, once.

        ``valid`` tells the rows of the memory, which is one without it; else a row's end would be beside the next.
        """
        return self.lstm.start(memory, valid)

    def step(
        self, tokens: Int64[Tensor, "b k"], state: RecurrentState
    ) -> tuple[Float[Tensor, "b k v"], RecurrentState]:
        """Logits of the token after each of these, one after the other."""
        outputs, state = self.lstm(self.dropout(self.embed(tokens)), state)
        return self.head(self.dropout(outputs)), state

    @torch.no_grad()
    def attention(
        self,
        memory: Float[Tensor, "b n c"],
        tokens: Int64[Tensor, "b t"],
        valid: Bool[Tensor, "b rows columns"] | Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b t cells"] | None:
        """How much is looked at each cell of the map, and not at the end, to choose the token after each of these."""
        shares = self.step(tokens, self.start(memory, valid))[1].attention
        if shares is None or valid is None:
            return None if shares is None else shares[..., :-1]
        shares = shares.masked_fill(_last(valid.flatten(1))[:, None], 0.0)
        return shares.unflatten(2, valid.shape[1:])[..., :-1].flatten(2)


def _last(real: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """True at the last of each row's real cells."""
    places = torch.arange(1, real.shape[1] + 1, device=real.device)
    return (real * places).amax(1, keepdim=True) == places
