"""Tables as numbers: the ids of their tokens, where cells open, what is in them and where they are."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from visionkit.errors import ConfigError
from visionkit.labels import Cell, Table, TableTokens
from visionkit.losses.tables import centred
from visionkit.text.batches import filled_up, trimmed
from visionkit.text.table_fill import filled
from visionkit.text.table_grid import TableFault
from visionkit.text.table_html import plain_text
from visionkit.text.table_tokens import Moves, StructureCode


class Ids:
    """Tokens as numbers; behind them the end of a sequence, its begin, and what is not known.

    Args:
        tokens: in the order of their ids.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)
        self.end = len(self.tokens)
        self.begin, self.unknown, self.size = self.end + 1, self.end + 2, self.end + 3
        self._ids = {token: index for index, token in enumerate(self.tokens)}

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Ids of tokens, without begin and end."""
        return [self._ids.get(token, self.unknown) for token in tokens]

    def decode(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Tokens up to the end; what is no token is left out."""
        tokens: list[str] = []
        for index in ids:
            if index == self.end:
                break
            tokens += self.tokens[index : index + 1] if index >= 0 else ()
        return tuple(tokens)


@dataclass(frozen=True)
class TableTargets:
    """The truth of ``b`` tables with at most ``m`` cells."""

    structure: Int64[Tensor, "b t"]
    """Begin, tokens, end; rows filled up with IGNORE_INDEX."""
    opens: Int64[Tensor, "b m"]
    """Place of the token before the one that opens each cell: there the cell is foretold."""
    is_cell: Bool[Tensor, "b m"]
    """False where a table has fewer cells."""
    filled: Bool[Tensor, "b m"]
    """Whether a cell holds anything."""
    content: Int64[Tensor, "s l"]
    """Begin, tokens, end of the filled cells, table by table; rows filled up with IGNORE_INDEX."""
    boxes: Float[Tensor, "b m 4"]
    """Centre x, y, width, height in shares of ``covered``; NaN where it is not known."""


def drawn(targets: TableTargets, wanted: int | None) -> tuple[Bool[Tensor, "b m"], Int64[Tensor, "s l"]]:
    """So many of the filled cells at random, and their contents; None or more than there are gives all."""
    if wanted is None or len(targets.content) <= wanted:
        return targets.filled, targets.content
    rows = torch.randperm(len(targets.content), device=targets.content.device)[:wanted].sort().values
    places = targets.filled.nonzero()[rows]
    chosen = torch.zeros_like(targets.filled)
    chosen[places[:, 0], places[:, 1]] = True
    return chosen, trimmed(targets.content[rows])


class TableWriter:
    """Between tables and ids.

    Args:
        labels: the dataset's tokens.
        code: how structures are written.
        max_structure: tokens of a structure, its end included; longer ones are learnt up to there.
        max_content: the same of a cell.
    """

    def __init__(self, labels: TableTokens, code: StructureCode, max_structure: int, max_content: int) -> None:
        self.code, self.max_structure, self.max_content = code, max_structure, max_content
        self.structure, self.content = Ids(code.vocabulary(labels)), Ids(labels.content)
        self.cell_ids = self._ids_of(code.cell_tokens)
        self.moves = Moves(self._ids_of(code.row_tokens), self._ids_of(code.column_tokens))

    def targets(
        self, tables: Sequence[Table], keys: Sequence[str], covered: tuple[float, float], device: torch.device
    ) -> TableTargets:
        """Targets of a batch; ``covered`` is the width and height in pixels of which boxes are given as shares.

        Raises ConfigError C211 for a table that the code cannot express.
        """
        rows = [self._ids(table, key) for table, key in zip(tables, keys, strict=True)]
        structure = filled_up(rows).to(device)
        opens, is_cell = self.openings(structure)
        slots = is_cell.shape[1]
        cells = [[*table.cells, *[Cell()] * slots][:slots] for table in tables]
        holds = [[bool(cell.tokens) for cell in row] for row in cells]
        filled = torch.tensor(holds, dtype=torch.bool, device=device).reshape(is_cell.shape) & is_cell
        boxes = torch.tensor([[cell.box or _NO_BOX for cell in row] for row in cells], device=device)
        boxes = centred(boxes.reshape(*is_cell.shape, 4) / boxes.new_tensor([*covered, *covered]))
        content = [
            self._framed(self.content, cell.tokens, self.max_content)
            for row, taken in zip(cells, filled.tolist(), strict=True)
            for cell, wanted in zip(row, taken, strict=True)
            if wanted
        ]
        return TableTargets(structure, opens, is_cell, filled, filled_up(content).to(device), boxes)

    def openings(self, structure: Int64[Tensor, "b t"]) -> tuple[Int64[Tensor, "b m"], Bool[Tensor, "b m"]]:
        """Of structures that begin with the begin: ``opens`` and ``is_cell`` as in ``TableTargets``."""
        is_open = torch.isin(structure[:, 1:], torch.tensor(self.cell_ids, device=structure.device))
        counts = is_open.sum(1)
        slots = int(counts.max()) if len(structure) else 0
        is_cell = torch.arange(slots, device=structure.device) < counts[:, None]
        opens = torch.zeros(is_cell.shape, dtype=torch.long, device=structure.device)
        opens[is_cell] = is_open.nonzero()[:, 1]
        return opens, is_cell

    def table(self, structure: Sequence[int], contents: Sequence[Sequence[int]]) -> Table:
        """The table that ids make; what breaks the code's rules makes the table without rows."""
        try:
            tokens = self.code.decode(self.structure.decode(structure))
        except TableFault:
            return Table((), ())
        return Table(tokens, tuple(Cell(balanced(self.content.decode(content))) for content in contents))

    def _ids_of(self, tokens: Collection[str]) -> list[int]:
        return [index for index, token in enumerate(self.structure.tokens) if token in tokens]

    def _ids(self, table: Table, key: str) -> list[int]:
        try:
            tokens = self.code.encode(table.structure)
        except TableFault as fault:
            fix = "take visionkit.text.table_tokens.HtmlCode or MergedCode, or leave the table out"
            raise ConfigError("C211", "task.code", f"cannot express the table {key!r}, which {fault}", fix) from fault
        return self._framed(self.structure, tokens, self.max_structure)

    @staticmethod
    def _framed(ids: Ids, tokens: Sequence[str], longest: int) -> list[int]:
        return [ids.begin, *[*ids.encode(tokens), ids.end][:longest]]


def expressible(table: Table, code: StructureCode) -> Table:
    """The table if the code can express it; else filled up to a rectangle, and without rows where that fails too."""
    try:
        code.encode(table.structure)
    except TableFault:
        try:
            return filled(table)
        except TableFault:
            return Table((), ())
    return table


def balanced(tokens: Iterable[str]) -> tuple[str, ...]:
    """Content in which every inline tag that begins also ends, in order; ends without a begin are left out."""
    kept: list[str] = []
    begun: list[str] = []
    for token in tokens:
        is_tag = not plain_text([token])
        if is_tag and token.startswith("</"):
            begin = token.replace("/", "")
            while begin in begun:
                last = begun.pop()
                kept.append(f"</{last[1:]}")
                if last == begin:
                    break
            continue
        begun += [token] if is_tag else []
        kept.append(token)
    return (*kept, *(f"</{begin[1:]}" for begin in reversed(begun)))


_NO_BOX = (float("nan"),) * 4
