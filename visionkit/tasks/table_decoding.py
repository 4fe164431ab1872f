"""From a feature map to tables: structure first, then boxes, then what stands in the cells."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from visionkit.generation.constraints import OnPrefix
from visionkit.generation.result import Decoded
from visionkit.labels import Table, TableTokens
from visionkit.losses.tables import corners
from visionkit.tasks.table_targets import TableWriter
from visionkit.text.batches import filled_up
from visionkit.text.grammar import GrammarMask

Generate = Callable[..., Decoded]
"""Called as ``generate(decoder, memory, valid, start=, end=, max_length=)``, for structures with a ``constraint``."""


@dataclass(frozen=True)
class Reading:
    """What was read of ``b`` pictures."""

    tables: list[Table]
    boxes: Float[Tensor, "b m 4"]
    """Left, top, right, bottom in pixels; NaN for empty cells, and where a table has fewer."""
    token_confidence: Float[Tensor, "b t"]
    """Of the tokens of the structure."""
    confidence: Float[Tensor, "b"]
    """Of structure and contents together."""


class TableDecoding:
    """Decodes tables with any procedure over the step interface.

    The structure obeys the grammar of its code, so that it always is a table; what could not end in time is not begun.

    Args:
        writer: between ids and tables.
        labels: the dataset's tokens.
        structure: procedure that decodes structures.
        content: procedure that decodes cells.
        at_once: cells that are decoded together at most.
    """

    def __init__(
        self, writer: TableWriter, labels: TableTokens, structure: Generate, content: Generate, at_once: int = 256
    ) -> None:
        self.writer, self.structure, self.content, self.at_once = writer, structure, content, at_once
        ids, grammar = writer.structure, writer.code.grammar(labels)
        rule = GrammarMask(grammar, ids.tokens, ids.end, writer.max_structure)
        self.constraint = OnPrefix(partial(rule, size=ids.size), writer.max_structure)

    def __call__(self, decoder: Any, seen: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h_px w_px"]) -> Reading:
        """Reads tables off maps that ``decoder``, a ``TableReader``, made of pictures that are real where ``valid``."""
        memory, ids = decoder.memory(seen, valid), self.writer.structure
        decoded = self.structure(
            decoder.structure,
            memory.values,
            memory.valid,
            start=ids.begin,
            end=ids.end,
            max_length=self.writer.max_structure,
            constraint=self.constraint,
        )
        rows = decoded.rows()
        tokens = filled_up([[ids.begin, *row, ids.end] for row in rows]).clamp(min=0).to(seen.device)
        opens, is_cell = self._openings(rows, seen.device)
        outputs, _ = decoder.trace(tokens[:, :-1], memory)
        told, boxes, filled = decoder.foretold(outputs, opens, memory)
        chosen = is_cell & (filled > 0)
        contents, log_probs = self._contents(decoder, seen, memory, told, boxes, chosen)
        slots = self._by_table(contents, chosen)
        tables = [self.writer.table(row, cells) for row, cells in zip(rows, slots, strict=True)]
        total = decoded.log_prob.clone()
        total.index_add_(0, chosen.nonzero()[:, 0], log_probs.to(total.dtype))
        pixels = corners(boxes.float()) * boxes.new_tensor([*decoder.covered(seen)] * 2)
        written = torch.tensor([bool(cell) for cells in slots for cell in cells], dtype=torch.bool, device=seen.device)
        pixels = pixels.masked_fill(~written.reshape(chosen.shape)[..., None], torch.nan)
        return Reading(tables, pixels, decoded.token_confidence, total.exp())

    def _openings(
        self, rows: list[list[int]], device: torch.device
    ) -> tuple[Int64[Tensor, "b m"], Bool[Tensor, "b m"]]:
        return self.writer.openings(filled_up([[self.writer.structure.begin, *row] for row in rows]).to(device))

    def _contents(
        self, decoder: Any, seen: Tensor, memory: Any, told: Tensor, boxes: Tensor, chosen: Bool[Tensor, "b m"]
    ) -> tuple[list[list[int]], Float[Tensor, "s"]]:
        """Ids and log-probability of each chosen cell, table by table."""
        ids, contents, log_probs = self.writer.content, [], [told.new_zeros(0)]
        places = chosen.nonzero()
        for part in places.split(self.at_once) if len(places) else ():
            now = torch.zeros_like(chosen)
            now[part[:, 0], part[:, 1]] = True
            views, real = decoder.view(seen, memory, boxes, now)
            decoded = self.content(
                decoder.cell_decoder(told[now]),
                views,
                real,
                start=ids.begin,
                end=ids.end,
                max_length=self.writer.max_content,
            )
            contents += decoded.rows()
            log_probs.append(decoded.log_prob)
        return contents, torch.cat(log_probs)

    @staticmethod
    def _by_table(contents: list[list[int]], chosen: Bool[Tensor, "b m"]) -> list[list[list[int]]]:
        """Contents cell by cell; those not chosen are empty."""
        found = iter(contents)
        return [[next(found) if wanted else [] for wanted in row] for row in chosen.tolist()]
