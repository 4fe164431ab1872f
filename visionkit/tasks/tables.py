"""Table recognition: from the picture of a table to its structure, and the place and content of each cell."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn
from torchmetrics import MetricCollection

from visionkit.errors import ConfigError
from visionkit.labels import TableTokens
from visionkit.layers.grid_memory import Memory
from visionkit.losses.sequence import token_cross_entropy
from visionkit.losses.tables import Stages, attention_loss, box_loss, filled_cross_entropy
from visionkit.metrics.teds.metric import Teds
from visionkit.tasks import table_panels
from visionkit.tasks.options import check_monitor
from visionkit.tasks.table_decoding import Generate, TableDecoding
from visionkit.tasks.table_targets import TableTargets, TableWriter, drawn, expressible
from visionkit.text.batches import by_length, from_code_points, to_code_points, trimmed
from visionkit.text.table_html import table_html
from visionkit.text.table_tokens import StructureCode
from visionkit.types import IGNORE_INDEX, Batch, Features, Monitor, Prediction, Sample


class TableRecognition(nn.Module):
    """A table reader, its losses and metrics.

    Args:
        decoder: called as ``decoder(structure_tokens=, content_tokens=, moves=, channels=, strides=, spatial_dims=)``;
            a ``TableReader`` of ``visionkit.decoders``.
        structure, content: procedures that decode structures and cells.
        channels, strides, spatial_dims: what the encoder offers.
        labels: the dataset's tokens.
        code: how structures are written, of ``visionkit.text.table_tokens``.
        metrics: called with the labels.
        max_structure: tokens of a structure at most, its end included; what is longer is learnt and read up to there.
        max_content: the same of a cell.
        stages: the structure's share of the loss of structure and cells in the course of the training.
        weights: of ``boxes``, of ``filled``, whether a cell holds anything, of ``columns``, the second reading, and of
            ``attention``, which should lie in the box of the cell that is foretold.
        cells_per_step: cells of a batch that are learnt from in a step, drawn anew in each; None for all.
        foretold_boxes: share of the cells that are read, in training, where the reader itself places them, errors and
            all, as it will when there is no truth.
        monitor: metric that checkpoints are compared by.

    Raises ConfigError: C210 the dataset has no tables, C211 a training table that the code cannot express, C212 the
    monitored metric does not exist, C213 a length below 2, C215 an unknown weight, C216 a weight of attention for a
    structure decoder that does not say how it attends, C228 a share that is none.
    """

    target: ClassVar[str] = "table"
    dense: ClassVar[bool] = False
    inference: None = None

    def __init__(
        self,
        decoder: Callable[..., Any],
        structure: Generate,
        content: Generate,
        channels: Sequence[int],
        strides: Sequence[Any],
        spatial_dims: int,
        labels: TableTokens | None,
        code: StructureCode,
        metrics: Callable[[TableTokens], MetricCollection],
        max_structure: int = 300,
        max_content: int = 100,
        stages: nn.Module | None = None,
        weights: Mapping[str, float] | None = None,
        cells_per_step: int | None = None,
        foretold_boxes: float = 0.0,
        monitor: Monitor | None = None,
    ) -> None:
        super().__init__()
        if labels is None:
            fix = "choose a dataset that has tables; `visionkit list` shows them"
            raise ConfigError("C210", "task.tables", "the dataset says nothing of `table`", fix)
        for name, length in (("max_structure", max_structure), ("max_content", max_content)):
            if length < 2:
                raise ConfigError("C213", f"task.{name}", f"{length} tokens hold nothing", "give 2 or more")
        if not 0 <= foretold_boxes <= 1:
            raise ConfigError("C228", "task.foretold_boxes", f"{foretold_boxes} is no share", "give one from 0 to 1")
        self.labels, self.cells_per_step, self.foretold_boxes = labels, cells_per_step, foretold_boxes
        known = {"boxes": 1.0, "filled": 1.0, "columns": 0.5, "attention": 0.0}
        self.weights = {**known, **(weights or {})}
        if wrong := sorted(set(self.weights) - set(known)):
            raise ConfigError("C215", f"task.weights.{wrong[0]}", "there is no such term", f"give {', '.join(known)}")
        self.metrics = metrics(labels)
        self.monitor = monitor or Monitor("teds", "max")
        check_monitor(self.monitor.metric, self.metrics, "C212")
        self.stages = Stages() if stages is None else stages
        self.writer = TableWriter(labels, code, max_structure, max_content)
        self.decoding = TableDecoding(self.writer, labels, structure, content)
        sizes = {"structure_tokens": self.writer.structure.size, "content_tokens": self.writer.content.size}
        self.decoder = decoder(
            **sizes, moves=self.writer.moves, channels=channels, strides=strides, spatial_dims=spatial_dims
        )

    def forward(self, features: Features, size: Sequence[int]) -> Float[Tensor, "b c h w"]:
        """The map that tables are read from; it covers the padded picture."""
        return self.decoder(features)

    def loss(self, features: Features, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Cross entropy of the structure's tokens and of the cells', weighted by the stage; boxes; filled cells.

        In evaluation, where nothing is learnt from it, a table that the code cannot express is ``expressible`` first.
        """
        seen = self.decoder(features)
        covered = self.decoder.covered(seen)
        tables = batch["table"] if self.training else [expressible(table, self.writer.code) for table in batch["table"]]
        targets = self.writer.targets(tables, batch["key"], covered, seen.device)
        memory = self.decoder.memory(seen, _real(batch))
        outputs, attention = self.decoder.trace(_taught(targets.structure, self.writer.structure.end), memory)
        told, boxes, filled = self.decoder.foretold(outputs, targets.opens, memory)
        known = targets.filled & ~targets.boxes.isnan().any(-1)
        share = self.stages()
        terms = {
            "structure": share * token_cross_entropy(self.decoder.structure.head(outputs), targets.structure[:, 1:]),
            "boxes": self.weights["boxes"] * box_loss(boxes[known], targets.boxes[known]),
            "filled": self.weights["filled"]
            * filled_cross_entropy(filled[targets.is_cell], targets.filled[targets.is_cell]),
        }
        if self.weights["attention"]:
            terms["attention"] = self.weights["attention"] * self._attention_loss(attention, targets, known, memory)
        places = torch.where(self._shown(known)[..., None], targets.boxes, boxes.detach())
        chosen, content = drawn(targets, self.cells_per_step if self.training else None)
        readers = {"cells": self.decoder.cells, "columns": self.decoder.columns}
        if share < 1 and len(content):
            views, real = self.decoder.view(seen, memory, places, chosen)
            terms["cells"] = (1 - share) * self._cell_loss(content, told[chosen], views, real)
            if self.decoder.columns is not None:
                term = self.decoder.columns(views, content, self.writer.content.end)
                terms["columns"] = (1 - share) * self.weights["columns"] * term
        else:
            there = {name: reader for name, reader in readers.items() if reader is not None}
            terms |= {name: _nothing(self.decoder.view, reader) for name, reader in there.items()}
        return terms

    def decide(self, outputs: Float[Tensor, "b c h w"], batch: Batch) -> Prediction:
        """Tables as code points of their HTML, boxes of the cells that hold something, and confidences."""
        read = self.decoding(self.decoder, outputs, _real(batch))
        return {
            "table": to_code_points([table_html(table) for table in read.tables]).to(outputs.device),
            "cell_boxes": read.boxes,
            "token_confidence": read.token_confidence,
            "text_confidence": read.confidence,
        }

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Adds each table to the metrics."""
        self.metrics.update(from_code_points(prediction["table"]), [table_html(table) for table in batch["table"]])

    def scores(self, prediction: Prediction, batch: Batch) -> list[float]:
        """TEDS of each table as the metric has it; NaN for one that it leaves out."""
        teds = next((metric for metric in self.metrics.values() if isinstance(metric, Teds)), None) or Teds()
        truths = [table_html(table) for table in batch["table"]]
        return [result.teds for result in teds.scores(from_code_points(prediction["table"]), truths)]

    def draw(self, sample: Sample, prediction: Prediction | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """The picture with the cells' boxes, the table that was read and the true one, as far as they are there."""
        return table_panels.row(sample, prediction)

    def _shown(self, known: Bool[Tensor, "b m"]) -> Bool[Tensor, "b m"]:
        """The cells that are read in their true boxes; nothing is random where all of them are."""
        if not (self.training and self.foretold_boxes):
            return known
        return known & (torch.rand(known.shape, device=known.device) >= self.foretold_boxes)

    def _attention_loss(
        self,
        attention: Float[Tensor, "b t n"] | None,
        targets: TableTargets,
        known: Bool[Tensor, "b m"],
        memory: Memory,
    ) -> Float[Tensor, ""]:
        """Where a cell is foretold, the structure decoder should look at it."""
        if attention is None:
            fix = "leave it at 0, or take the decoder of task=tables/edd"
            raise ConfigError(
                "C216", "task.weights.attention", "this structure decoder does not say how it attends", fix
            )
        rows, cells = known.nonzero(as_tuple=True)
        return attention_loss(attention[rows, targets.opens[rows, cells]], targets.boxes[known], memory.places)

    def _cell_loss(
        self,
        content: Int64[Tensor, "s l"],
        told: Float[Tensor, "s d"],
        views: Float[Tensor, "s n c"],
        real: Bool[Tensor, "s n"],
    ) -> Float[Tensor, ""]:
        """Cross entropy of the cells' tokens, those of about one length together: few are as long as the longest."""
        logits, tokens = [], []
        for rows in by_length(content):
            own = trimmed(content[rows])
            cells = self.decoder.cell_decoder(told[rows])
            output, _ = cells.step(_taught(own, self.writer.content.end), cells.start(views[rows], real[rows]))
            logits.append(output.flatten(0, 1))
            tokens.append(own[:, 1:].flatten())
        return token_cross_entropy(torch.cat(logits)[None], torch.cat(tokens)[None])


def _taught(sequences: Int64[Tensor, "n t"], end: int) -> Int64[Tensor, "n k"]:
    """What a decoder is given to foretell the sequence from its second token on."""
    inputs = sequences[:, :-1]
    return inputs.masked_fill(inputs == IGNORE_INDEX, end)


def _real(batch: Batch) -> Bool[Tensor, "b h w"]:
    image = batch["image"]
    if "valid" in batch:
        return batch["valid"]
    return torch.ones(len(image), *image.shape[2:], dtype=torch.bool, device=image.device)


def _nothing(*modules: nn.Module) -> Float[Tensor, ""]:
    """Zero, with a gradient of zero for every weight: distributed training waits for the gradient of each."""
    return sum(weight.sum() for module in modules for weight in module.parameters()) * 0.0  # type: ignore[return-value]
