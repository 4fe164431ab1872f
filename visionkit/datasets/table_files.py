"""Datasets of a picture and a table for each sample, whatever the file that the table stands in."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from visionkit.datasets.findings import Finding
from visionkit.datasets.images import read_image
from visionkit.errors import DataError
from visionkit.text.table_tokens import collect
from visionkit.types import Sample, Table, TableTokens


@dataclass(frozen=True)
class TableEntry:
    """Where one sample lies; ``fault`` says why it cannot be read, and is raised when it is.

    Attributes:
        read: gives the table, boxes in pixels of the picture. Raises DataError.
    """

    key: str
    image: Path
    read: Callable[[], Table] | None = None
    fault: DataError | None = None


class TableFiles:
    """Reads listed tables. Faults of the listing are raised sample by sample, so that a check sees them all.

    Args:
        entries: with keys that differ; only asked for what is needed, so they may be made when they are.
        training: the entries whose tokens are the labels, where none are given.
        channels: 1 or 3.
        tokens: the tokens of structure and content; None collects those of ``training``, which reads all of it.
        doubts: what the listing found strange without losing a sample.
    """

    def __init__(
        self,
        entries: Sequence[TableEntry],
        training: Sequence[TableEntry],
        channels: int = 3,
        tokens: TableTokens | None = None,
        doubts: Iterable[Finding] = (),
    ) -> None:
        self.channels = channels
        self._entries, self._training, self._tokens, self._doubts = entries, training, tokens, tuple(doubts)

    @cached_property
    def labels(self) -> dict[str, Any]:
        """The tokens that tables are made of; tables that cannot be read add none."""
        return {"table": self._tokens or collect(_readable(self._training))}

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
            sample["valid"] = torch.ones(sample["image"].shape[1:], dtype=torch.bool)
        except DataError as error:
            errors.append(error)
        try:
            sample["table"] = entry.read()
        except DataError as error:
            errors.append(error)
        return sample, errors

    def problems(self) -> list[Finding]:
        """What the listing found strange without losing a sample."""
        return list(self._doubts)


def _readable(entries: Iterable[TableEntry]) -> Iterator[Table]:
    for entry in entries:
        if entry.read is not None and entry.fault is None:
            try:
                table = entry.read()
            except DataError:
                continue  # raised when the sample is read
            yield table
