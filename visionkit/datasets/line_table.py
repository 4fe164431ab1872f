"""Pictures of lines or words with their texts in one table: TSV or CSV with a header."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from visionkit.datasets.line_splits import NAMES, by_name, check_split, require_lines
from visionkit.datasets.text_files import read_rows
from visionkit.datasets.text_lines import Line, TextLines, once
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import DataError


class LineTable(TextLines):
    """A table with a header: a column of files, one of texts, and perhaps one of splits.

    A ``.csv`` may quote with double quotes; of any other file tabs separate the columns and nothing is quoted. Without
    a column of splits a hash of the key decides, or the folders that a picture lies in (``line_splits.by_name``).

    Args:
        root: the data's folder; files are named from here.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        text: rules of the text.
        table: name of the table in ``root``.
        file_column, text_column, split_column: names in the header; the last may be missing there.
        fractions: shares of train, val and test where the table does not say.
        folders: so many folders of a key decide its split together; 0 for the whole key.

    Raises:
        ConfigError: C52 unknown split, C53 fractions that are none, those of ``TextRules``.
        DataError: D123 no header, those of ``read_rows``, D131 no lines. Faults of single lines (D115, D122 one
            key twice, D123 row, those of ``read_image``) are raised when the line is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 1,
        text: TextRules | None = None,
        table: str = "lines.tsv",
        file_column: str = "file",
        text_column: str = "text",
        split_column: str = "split",
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        folders: int = 0,
    ) -> None:
        check_split(split)
        path = Path(root) / table
        rows = list(read_rows(path))
        header = [name.strip() for name in rows[0][1]] if rows else []
        for name in (file_column, text_column):
            if name not in header:
                what = f"its first row has no column {name!r} (found {', '.join(header) or 'nothing'})"
                raise DataError("D123", path, what, "name the columns there, or see dataset.layout.file_column")
        columns = (header.index(file_column), header.index(text_column))
        named = header.index(split_column) if split_column in header else None
        found = once(_lines(path, rows[1:], columns, len(header)))
        if named is None:
            splits = by_name(found, fractions, folders)
        else:
            splits = _as_named(found, {f"{path}:{number}": row for number, row in rows[1:]}, named)
        require_lines(splits, path)
        super().__init__(splits, split, text or TextRules(), channels)


def _lines(table: Path, rows: Sequence[tuple[int, list[str]]], columns: tuple[int, int], width: int) -> Iterator[Line]:
    for number, row in rows:
        place = f"{table}:{number}"
        name = Path(row[columns[0]]) if len(row) == width else Path()
        if name.name.strip():
            yield Line("__".join(name.with_suffix("").parts), table.parent / name, row[columns[1]], place)
            continue
        what, fix = "names no picture", "write the path of its picture, or remove the row"
        if len(row) != width:
            what = f"has {len(row)} columns, the first row has {width}"
            fix = "write one line a row, with as many columns as the first"
        yield Line(f"row_{number}", table, place=place, fault=DataError("D123", place, what, fix))


def _as_named(lines: Sequence[Line], rows: dict[str, list[str]], column: int) -> dict[str, list[Line]]:
    """Lines by what the table says; a split without a meaning, or a row that is none, is a fault of every split."""
    splits: dict[str, list[Line]] = {split: [] for split in NAMES.values()}
    for line in lines:
        row = rows[line.place]
        name = row[column].strip().lower() if column < len(row) else ""
        if name in NAMES:
            splits[NAMES[name]].append(line)
            continue
        what = f"{row[column]!r} is no split" if column < len(row) else "has no split"
        fault = line.fault or DataError("D123", line.place, what, "write train, val or test")
        for members in splits.values():
            members.append(Line(line.key, line.image, place=line.place, fault=fault))
    return splits
