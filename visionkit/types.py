"""The contracts between the rooms: samples, encoders, decoders, tasks, datasets, transforms."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypedDict, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int8, Int64, UInt8
from torch import Tensor
from torchmetrics import MetricCollection

from visionkit.labels import Table

IGNORE_INDEX = -1
"""Value of a mask where the truth is unknown or where the picture was padded."""


class Sample(TypedDict, total=False):
    """One example before collation; a key is absent where a dataset does not carry that target.

    A dataset returns pictures as ``uint8`` in 0..255; on the device they become ``float32`` in 0..1.
    Volumes are ``float32`` throughout. Normalisation by mean and deviation belongs to the encoder; what depends
    on a whole volume is the source's ``intensity``.
    """

    key: str
    """Stable id, unique in its source: randomness, error messages and file names derive from it."""
    path: str
    """File of the image, for messages; empty where the sample was generated."""
    image: Float[Tensor, "c *space"] | UInt8[Tensor, "c *space"]
    valid: Bool[Tensor, "*space"]
    """True where the picture is real, False where it was padded."""
    mask: Int64[Tensor, "*space"]
    """Class index of each pixel, IGNORE_INDEX where unknown."""
    edges: Int8[Tensor, "a h w"]
    """What each annotator drew: 1 on an edge, 0 elsewhere, IGNORE_INDEX where unknown. Pictures may differ in ``a``."""
    points: Float32[Tensor, "n 2"]
    """Where the counted objects are: x, y in pixels, the first pixel's centre at (0.5, 0.5)."""
    text: str
    """What is written, in reading order and in the normal form of the labels."""
    table: "Table"
    """Structure and cells of a table."""
    spacing_mm: Float64[Tensor, "n"]
    """Of a volume: distance between the centres of neighbouring voxels along d, h, w."""


class Batch(TypedDict, total=False):
    """Collated samples: tensors gain a leading axis ``b``; strings, points and tables become lists."""

    key: list[str]
    path: list[str]
    image: Float[Tensor, "b c *space"]
    valid: Bool[Tensor, "b *space"]
    mask: Int64[Tensor, "b *space"]
    edges: Int8[Tensor, "b a h w"]
    """Pictures with fewer annotators than others are filled with maps of IGNORE_INDEX."""
    points: list[Float32[Tensor, "n 2"]]
    text: list[str]
    table: "list[Table]"
    spacing_mm: Float64[Tensor, "b n"]


class Prediction(TypedDict, total=False):
    """What a task decides about a batch: ids and arrays, never strings."""

    mask: Int64[Tensor, "b *space"]
    confidence: Float[Tensor, "b *space"]
    """Probability of the chosen class."""
    edges: Float[Tensor, "b h w"]
    """Probability of an edge, 0..1."""
    density: Float[Tensor, "b h w"]
    """Objects a pixel; its sum is the count."""
    text: Int64[Tensor, "b t"]
    """Unicode code points of what was read, rows filled up with -1."""
    token_confidence: Float[Tensor, "b t"]
    """Probability of each token of a decoded sequence, rows filled up with NaN."""
    text_confidence: Float[Tensor, "b"]
    """Probability of a whole sequence as the decoder gives it."""
    table: Int64[Tensor, "b t"]
    """Unicode code points of a table's HTML, rows filled up with -1."""
    cell_boxes: Float[Tensor, "b n 4"]
    """Left, top, right, bottom of a table's cells in pixels, in reading order; rows filled up with NaN."""


class Explained(Prediction, total=False):
    """A prediction with what only a picture of it needs; nothing of this is written to files."""

    attention: Float[Tensor, "b t w"]
    """How much each token of the text looked at each column of pixels, rows filled up with NaN."""


@dataclass(frozen=True)
class Monitor:
    """The metric by which a task's checkpoints are compared, and which way is better."""

    metric: str
    mode: Literal["min", "max"]


Features = Sequence[Float[Tensor, "b c *space"]]
Stride = int | tuple[int, ...]
"""Cells of the image for one cell of a map: one number for all axes of space, or one for each axis."""
Transform = Callable[[Sample, np.random.Generator], Sample]
"""Changes a sample; every random choice comes from the generator, which is new for each sample."""

Dense = Callable[[Float[Tensor, "b c *space"]], Float[Tensor, "b k *space"]]
"""Image in, map of the same size out: what sliding windows and flips are wrapped around."""
Intensity = Callable[[Float[Tensor, "c *space"]], Float[Tensor, "c *space"]]
"""New values of a whole image, from these values alone: the same in training, evaluation and prediction."""
Inference = Callable[[Dense, Float[Tensor, "b c *space"]], Float[Tensor, "b k *space"]]


@runtime_checkable
class Windowed(Protocol):
    """An inference procedure that may look at parts of an image one after the other."""

    def covers(self, space: Sequence[int]) -> bool:
        """Whether an image of this size passes through the model as a whole."""


@runtime_checkable
class Streaming(Windowed, Protocol):
    """An inference procedure that can also give its result slab by slab, so that it need not be held as a whole."""

    def stream(self, dense: Dense, image: Float[Tensor, "b c *space"]) -> Iterator[Float[Tensor, "b k *slab"]]:
        """Consecutive slabs along the first axis of space; together they are the whole output."""


class Encoder(Protocol):
    """Image to feature maps: finest first, strides strictly increasing, each exactly size / stride.

    Of strides with one number for each axis, such as (2, 4, 4), none gets finer along any axis.

    The caller pads the image to a multiple of the coarsest stride; the encoder normalises the image
    (0..1 for pictures) by the statistics that it was trained with.
    """

    channels: tuple[int, ...]
    strides: tuple[Stride, ...]
    spatial_dims: int
    in_chans: int

    def __call__(self, image: Float[Tensor, "b c *space"]) -> list[Float[Tensor, "b _ *coarse"]]:
        """Feature maps, finest first."""


class Decoder(Protocol):
    """Features to one map at ``stride``; built as ``decoder(channels=..., strides=...)``."""

    out_channels: int
    stride: Stride

    def __call__(self, features: Features) -> Float[Tensor, "b c *space"]:
        """One map with ``out_channels`` channels, ``stride`` times smaller than the padded image."""


class DeepDecoder(Decoder, Protocol):
    """A decoder whose coarser maps can be supervised, too: finest first, and the finest is its output."""

    deep_channels: tuple[int, ...]
    deep_strides: tuple[Stride, ...]

    def deep(self, features: Features) -> list[Float[Tensor, "b _ *level"]]:
        """Maps with ``deep_channels`` at ``deep_strides``."""


class DecodingState(Protocol):
    """What a sequence decoder remembers of ``b`` sequences that it has begun."""

    lengths: Int64[Tensor, "b"]
    """Tokens that each sequence has so far."""

    def select(self, rows: Int64[Tensor, "r"]) -> "DecodingState":
        """The state of these sequences, some perhaps several times: how a beam branches and how ended ones leave."""

    def rewind(self, lengths: Int64[Tensor, "b"]) -> "DecodingState":
        """The state that each sequence had when it was so long: how drafted tokens are taken back."""


@runtime_checkable
class AttendingState(Protocol):
    """A ``DecodingState`` that says what was looked at."""

    attention: Float[Tensor, "b k n"] | None
    """Of each token of the last step over the memory; None where no step was made, or the decoder does not say."""


class SequenceDecoder(Protocol):
    """The step interface that ``generation/`` works over: tables, lines and formulas alike.

    Teacher forcing is one ``step`` over all tokens but the last.
    """

    vocabulary: int

    def start(self, memory: Float[Tensor, "b n c"], valid: Bool[Tensor, "b n"] | None = None) -> DecodingState:
        """State before the first token. ``memory`` is what is read, ``valid`` False where it is padding."""

    def step(self, tokens: Int64[Tensor, "b k"], state: DecodingState) -> tuple[Float[Tensor, "b k v"], DecodingState]:
        """Appends ``k`` tokens to each sequence; for each of them the logits of the token after it.

        The state that was given is used up: the new one may have taken over its memory.
        """


class Task(Protocol):
    """A torch module that owns decoder, losses and metrics of one kind of target.

    Built as ``task(channels=..., strides=..., spatial_dims=..., labels=...)``, where ``labels`` is what
    the dataset says about the target (``Classes`` for a mask).
    """

    target: ClassVar[str]
    monitor: Monitor
    metrics: MetricCollection
    labels: Any
    inference: Inference | None
    """Optional whole-image procedure (windows, scales, flips) around encoder and ``forward``.

    A task may say ``pointwise = True``: ``decide`` looks at each place alone, so that slabs can be decided in turn.
    A task whose outputs are no maps of the image (text, tables) says ``dense = False`` and has no inference procedure.
    A task may ``explain(outputs, batch, prediction)``: give what only a picture of the prediction needs.
    """

    def __call__(self, features: Features, size: Sequence[int]) -> Tensor:
        """Raw outputs (logits, density, what a sequence is read from); maps are at the image's size, which may be less
        than the features cover.
        """

    def loss(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Named terms, each a finite scalar already weighted; their sum is the task's loss."""

    def decide(self, outputs: Tensor, batch: Batch) -> Prediction:
        """Raw outputs to a prediction. ``batch`` may lack the target."""

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Adds a batch to the metrics."""

    def scores(self, prediction: Prediction, batch: Batch) -> list[float]:
        """One figure for each sample, larger is better: what worst and best examples are sorted by."""

    def draw(self, sample: Sample, prediction: Prediction | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """A picture of one sample (unbatched), its truth where there is one, and its prediction."""


class Dataset(Protocol):
    """Samples in the layout in which they lie on the disk; built as ``layout(split=..., root=...)``."""

    labels: Mapping[str, Any]
    """For each target key what the data says of it: ``{"mask": Classes(...)}``."""

    def __len__(self) -> int: ...

    def key(self, index: int) -> str:
        """The sample's stable id, known without reading the sample."""

    def __getitem__(self, index: int) -> Sample:
        """Reads one sample. Raises DataError, naming the file, when it cannot be used."""
