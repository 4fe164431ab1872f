"""Datasets of a picture and a table for each sample, whatever the file that the table stands in."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from visionkit.datasets.findings import Finding
from visionkit.datasets.images import read_image
from visionkit.errors import DataError
from visionkit.labels import Table, TableTokens
from visionkit.text.table_fill import filled
from visionkit.text.table_grid import TableFault
from visionkit.text.table_tokens import collect
from visionkit.types import Sample

Picture = UInt8[Tensor, "c h w"]


@dataclass(frozen=True)
class TableEntry:
    """Where one sample lies; ``fault`` says why it cannot be read, and is raised when it is.

    Attributes:
        read: gives the table, boxes in pixels of the picture. Raises DataError.
        cut: from a page and a table with the file's own boxes to the table's picture and boxes in its pixels.
    """

    key: str
    image: Path
    read: Callable[[], Table] | None = None
    fault: DataError | None = None
    cut: Callable[[Picture, Table], tuple[Picture, Table]] | None = None


class TableFiles:
    """Reads listed tables. Faults of the listing are raised sample by sample, so that a check sees them all.

    Args:
        entries: with keys that differ; only asked for what is needed, so they may be made when they are.
        training: the entries whose tokens are the labels, where none are given.
        channels: 1 or 3.
        tokens: the tokens of structure and content; None collects those of ``training``, which reads all of it.
        doubts: what the listing found strange without losing a sample.
        split: of the entries; ``train`` alone is filled.
        fill: tables to learn from that are no rectangles become some (``text.table_fill``). Those of other splits stay
            as they were published, for they are the truth that metrics compare with.
    """

    def __init__(
        self,
        entries: Sequence[TableEntry],
        training: Sequence[TableEntry],
        channels: int = 3,
        tokens: TableTokens | None = None,
        doubts: Iterable[Finding] = (),
        split: str = "train",
        fill: bool = False,
    ) -> None:
        self.channels, self.split, self.fill = channels, split, fill
        self._entries, self._training, self._tokens, self._doubts = entries, training, tokens, tuple(doubts)

    @cached_property
    def labels(self) -> dict[str, Any]:
        """The tokens that tables are made of; tables that cannot be read add none."""
        return {"table": self._tokens or collect(self._readable())}

    def __len__(self) -> int:
        return len(self._entries)

    def key(self, index: int) -> str:
        """Name of the picture without its ending."""
        return self._entries[index].key

    def __getitem__(self, index: int) -> Sample:
        """Reads one sample: image uint8 c h w, table, valid bool h w. Raises DataError."""
        sample, errors = self.examine(index)
        if errors:
            raise errors[0]
        return sample

    def examine(self, index: int) -> tuple[Sample, list[DataError]]:
        """What can be read of a sample, and every fault of its files."""
        entry = self._entries[index]
        sample: Sample = {"key": entry.key, "path": str(entry.image)}
        if entry.fault is not None or entry.read is None:
            return sample, [entry.fault or DataError("D24", entry.image, "has no table", "add it, or take this out")]
        errors: list[DataError] = []
        try:
            sample["image"] = read_image(entry.image, self.channels)
        except DataError as error:
            errors.append(error)
        try:
            sample["table"] = self._table(entry, self.fill and self.split == "train")
        except DataError as error:
            errors.append(error)
        if not errors and entry.cut is not None:
            sample["image"], sample["table"] = entry.cut(sample["image"], sample["table"])
        if "image" in sample:
            sample["valid"] = torch.ones(sample["image"].shape[1:], dtype=torch.bool)
        return sample, errors

    def problems(self) -> list[Finding]:
        """What the listing found strange without losing a sample."""
        return list(self._doubts)

    @staticmethod
    def _table(entry: TableEntry, fill: bool) -> Table:
        table = entry.read() if entry.read is not None else Table((), ())
        if not fill:
            return table
        try:
            return filled(table)
        except TableFault as fault:
            raise DataError("D137", entry.image, f"its table {fault}", "mend it, or set dataset.on_bad=skip") from fault

    def _readable(self) -> Iterator[Table]:
        for entry in self._training:
            if entry.read is not None and entry.fault is None:
                try:
                    table = self._table(entry, self.fill)
                except DataError:
                    continue  # raised when the sample is read
                yield table
