"""Recognition of text, written or printed: a line or a word of a picture to its characters."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn
from torchmetrics import MetricCollection

from visionkit import drawing
from visionkit.errors import ConfigError
from visionkit.layers.padding import cut
from visionkit.layers.strides import per_axis
from visionkit.metrics.text import reading
from visionkit.tasks import attention_panels, text_panels
from visionkit.tasks.options import check_monitor
from visionkit.tasks.readers import Reader
from visionkit.text.batches import from_code_points, to_code_points
from visionkit.text.tokenizers import CharacterTokenizer, Tokenizer
from visionkit.types import Batch, Explained, Features, Inference, Monitor, Prediction, Sample


class TextRecognition(nn.Module):
    """One map of the encoder's, a reader over it, and metrics of what was read.

    Args:
        reader: called as ``reader(channels=, stride=, tokenizer=, right_to_left=)`` (see ``tasks.readers``).
        line_map: called as ``line_map(channels=, strides=, spatial_dims=)``; one map of the encoder's maps.
        channels, strides, spatial_dims: what the encoder offers.
        labels: what the dataset says of its text, such as a Charset.
        tokenizer: called with the labels.
        metrics: called with the labels.
        monitor: metric that checkpoints are compared by.

    Raises ConfigError: C195 the dataset has no text, C196 the monitored metric does not exist.
    """

    target: ClassVar[str] = "text"
    dense: ClassVar[bool] = False
    inference: Inference | None = None

    def __init__(
        self,
        reader: Callable[..., Reader],
        line_map: Callable[..., Any],
        channels: Sequence[int],
        strides: Sequence[Any],
        spatial_dims: int,
        labels: Any,
        tokenizer: Callable[..., Any] = CharacterTokenizer,
        metrics: Callable[[Any], MetricCollection] = reading,
        monitor: Monitor | None = None,
    ) -> None:
        super().__init__()
        if labels is None:
            fix = "choose a dataset that has text; `visionkit list` shows them"
            raise ConfigError("C195", "task.handwriting", "the dataset says nothing of `text`", fix)
        self.labels = labels
        self.tokenizer: Tokenizer = tokenizer(labels)
        self.metrics = metrics(labels)
        self.monitor = monitor or Monitor("cer", "min")
        check_monitor(self.monitor.metric, self.metrics, "C196")
        self.right_to_left = getattr(labels, "right_to_left", False)
        self.line_map = line_map(channels=channels, strides=strides, spatial_dims=spatial_dims)
        of_map = {"channels": self.line_map.out_channels, "stride": self.line_map.stride}
        self.reader: Any = reader(**of_map, tokenizer=self.tokenizer, right_to_left=self.right_to_left)
        self.metrics.add_metrics(self.reader.metrics())

    def forward(self, features: Features, size: Sequence[int]) -> Tensor:
        """What is decided from: logits of columns (b t v), or the map that a sequence is read from (b c h w)."""
        return self.reader(self._line(features, size))

    def loss(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """The reader's terms."""
        ids = [self._tokens(text) for text in batch["text"]]
        line = self._line(features, batch["image"].shape[2:])
        return self.reader.loss(line, ids, _valid(batch), batch["key"])

    def decide(self, outputs: Tensor, batch: Batch) -> Prediction:
        """Code points of what was read, and how sure of it the model is.

        Padding is not read; what looks along the line may still see it: published figures are of batches of one.
        """
        decoded = self.reader.decide(outputs, _valid(batch))
        text = to_code_points([self.tokenizer.decode(row) for row in decoded.rows()]).to(outputs.device)
        return {
            "text": text,
            "token_confidence": decoded.token_confidence,
            "text_confidence": decoded.confidence,
        }

    def explain(self, outputs: Tensor, batch: Batch, prediction: Prediction) -> Explained:
        """``attention`` of what was read, where the reader can tell it."""
        look = getattr(self.reader, "attention", None)
        ids = [self._tokens(text) for text in from_code_points(prediction["text"])]
        attention = None if look is None else look(outputs, ids, _valid(batch))
        return {} if attention is None else {"attention": attention}

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Adds every text to the metrics."""
        ids = [self._tokens(text) for text in batch["text"]]
        unalignable = len(self.reader.unalignable(ids, _valid(batch)))
        self.metrics.update(from_code_points(prediction["text"]), batch["text"], unalignable=unalignable)

    def scores(self, prediction: Prediction, batch: Batch) -> list[float]:
        """Of each text its character error rate, negative."""
        read = from_code_points(prediction["text"])
        return [-character_errors(found, true) for found, true in zip(read, batch["text"], strict=True)]

    def draw(self, sample: Sample, prediction: Prediction | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """The line over what was read of it, errors in colour, the truth, and where each token looked if known."""
        found = None if prediction is None else from_code_points(prediction["text"][None])[0]
        page = text_panels.page(sample, found, self.right_to_left)
        attention = cast(Explained, prediction or {}).get("attention")
        if attention is None or not found:
            return page
        tokens = [self.tokenizer.decode([number]) for number in self._tokens(found)]
        return drawing.stacked([page, attention_panels.looks(sample, tokens, attention.numpy())])

    def _tokens(self, text: str) -> list[int]:
        """Ids of a text. In evaluation what has none is left out: the loss cannot ask for it."""
        return self.tokenizer.encode(text) if self.training else self.tokenizer.encode_known(text)

    def _line(self, features: Features, size: Sequence[int]) -> Tensor:
        """The map without the cells that lie wholly in the encoder's padding."""
        steps = per_axis(self.line_map.stride, 2)
        cells = [(length + step - 1) // step for length, step in zip(size, steps, strict=True)]
        return cut(self.line_map(features), cells)


def character_errors(found: str, true: str) -> float:
    """Edits for each character of the truth; of an empty truth their number."""
    return Levenshtein.distance(found, true) / max(1, len(true))


def _valid(batch: Batch) -> Bool[Tensor, "b h w"]:
    image = batch["image"]
    if "valid" in batch:
        return batch["valid"]
    return torch.ones(len(image), *image.shape[2:], dtype=torch.bool, device=image.device)
