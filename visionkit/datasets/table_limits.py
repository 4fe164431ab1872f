"""Which tables are learnt from: those that are not too long and whose pictures are not too large."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from visionkit.datasets.table_files import TableEntry
from visionkit.errors import DataError
from visionkit.labels import Table

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableLimits:
    """Limits of what is trained on, such as those of EDD: 300 tokens, 100 of a cell, 512 pixels. None is no limit.

    Attributes:
        structure: tokens of the structure at most, as PubTabNet counts them.
        cell: tokens of every cell at most.
        side_px: height and width of the picture at most, as it lies on the disk.
    """

    structure: int | None = None
    cell: int | None = None
    side_px: int | None = None

    def within(self, entries: Sequence[TableEntry]) -> Sequence[TableEntry]:
        """The entries that keep to the limits, which are all read for it; how many are left out is logged.

        What cannot be read stays, so that it is told when it is asked for.
        """
        if self == TableLimits():
            return entries
        kept = [entry for entry in entries if self._admits(entry)]
        if len(kept) < len(entries):
            text = "%d of %d tables are not trained on, for they exceed %s"
            _log.warning(text, len(entries) - len(kept), len(entries), self)
        return kept

    def _admits(self, entry: TableEntry) -> bool:
        if entry.fault is not None or entry.read is None:
            return True
        try:
            return self._short(entry.read()) and self._small(entry)
        except (DataError, OSError, ValueError, Image.DecompressionBombError):
            return True

    def _short(self, table: Table) -> bool:
        longest = max((len(cell.tokens) for cell in table.cells), default=0)
        lengths = ((len(table.structure), self.structure), (longest, self.cell))
        return all(limit is None or length <= limit for length, limit in lengths)

    def _small(self, entry: TableEntry) -> bool:
        if self.side_px is None:
            return True
        with Image.open(entry.image) as picture:
            return max(picture.size) <= self.side_px
