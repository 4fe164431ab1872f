"""Reading a table: structure, boxes and contents of its cells from the feature maps of any encoder."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from visionkit.layers.dims import require_pictures
from visionkit.layers.grid_memory import Memory
from visionkit.layers.strides import per_axis
from visionkit.text.table_tokens import Moves
from visionkit.types import AttendingState, Decoder, Features, Stride


class TableReader(nn.Module):
    """Two sequence decoders over one map: the structure from a coarse grid, each cell from what is seen of it (Zhong
    et al. 2020, section 4), and a box for each cell.

    Args:
        neck: makes one map of the encoder's, called as any ``Decoder``.
        grid: called as ``grid(channels=, have=)``: the memory of the structure decoder.
        structure: called as ``structure(vocabulary=, channels=)``.
        places: called as ``places(structure, moves=, vocabulary=, channels=)`` in place of ``structure``, as
            ``PlacedDecoder``; None leaves the counting of rows to the structure decoder.
        boxes: called as ``boxes(queries=, channels=)``.
        view: called as ``view(channels=, memory=)``: what a cell decoder sees.
        cells: called as ``cells(vocabulary=, channels=, condition=)``.
        columns: called as ``columns(vocabulary=, view=)``: reads the cells a second time in training; None for nothing.
        structure_tokens, content_tokens: sizes of the vocabularies.
        moves: the structure's tokens that lead to a new row or cell.
        channels, strides, spatial_dims: what the encoder offers.
    """

    def __init__(
        self,
        neck: Callable[..., Decoder],
        grid: Callable[..., Any],
        structure: Callable[..., Any],
        boxes: Callable[..., Any],
        view: Callable[..., Any],
        cells: Callable[..., Any],
        structure_tokens: int,
        content_tokens: int,
        moves: Moves,
        channels: Sequence[int],
        strides: Sequence[Stride],
        spatial_dims: int = 2,
        columns: Callable[..., Any] | None = None,
        places: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        require_pictures("reading tables", spatial_dims)
        self.neck = neck(channels=channels, strides=strides, spatial_dims=spatial_dims)
        width = self.neck.out_channels
        self.grid = grid(channels=width, have=self.neck.stride)
        if places is not None:
            structure = partial(places, structure, moves=moves)
        self.structure = structure(vocabulary=structure_tokens, channels=self.grid.out_channels)
        told = self.structure.out_channels
        self.boxes = boxes(queries=told, channels=self.grid.out_channels)
        self.view = view(channels=width, memory=self.grid.out_channels)
        self.cells = cells(vocabulary=content_tokens, channels=self.view.out_channels, condition=told)
        self.columns = None if columns is None else columns(vocabulary=content_tokens, view=self.view)

    def forward(self, features: Features) -> Float[Tensor, "b c h w"]:
        """The map that everything is read from."""
        return self.neck(features)

    def covered(self, seen: Float[Tensor, "b c h w"]) -> tuple[float, float]:
        """Width and height in pixels of what the map covers: more than the picture where that was padded."""
        height, width = per_axis(self.neck.stride, 2)
        return float(seen.shape[3] * width), float(seen.shape[2] * height)

    def memory(self, seen: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b height width"]) -> Memory:
        """What the structure decoder reads."""
        return self.grid(seen, valid)

    def trace(
        self, tokens: Int64[Tensor, "b t"], memory: Memory
    ) -> tuple[Float[Tensor, "b t d"], Float[Tensor, "b t n"] | None]:
        """States of the structure decoder after each token, from the begin on, and how it attended to the memory there,
        if it says so.
        """
        outputs, state = self.structure.trace(tokens, self.structure.start(memory.values, memory.valid))
        return outputs, state.attention if isinstance(state, AttendingState) else None

    def foretold(
        self, outputs: Float[Tensor, "b t d"], opens: Int64[Tensor, "b m"], memory: Memory
    ) -> tuple[Float[Tensor, "b m d"], Float[Tensor, "b m 4"], Float[Tensor, "b m"]]:
        """Of the cells that are foretold at places ``opens``: the states there, boxes, logits that they are filled."""
        told = outputs.gather(1, opens[..., None].expand(-1, -1, outputs.shape[2]))
        return told, *self.boxes(told, memory)

    def cell_decoder(self, told: Float[Tensor, "s d"]) -> "Told":
        """The decoder of cells at which the structure decoder had these states."""
        return Told(self.cells, told)


class Told:
    """A sequence decoder that is given a condition for each of its sequences when it starts."""

    def __init__(self, decoder: Any, condition: Float[Tensor, "s d"]) -> None:
        self.decoder, self.condition, self.vocabulary = decoder, condition, decoder.vocabulary
        self.step = decoder.step

    def start(self, memory: Float[Tensor, "s n c"], valid: Bool[Tensor, "s n"] | None = None) -> Any:
        """State before the first token."""
        return self.decoder.start(memory, valid, self.condition)
