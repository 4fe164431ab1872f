"""``visionkit compare``: the table of several runs, on the terminal and as Markdown, CSV, JSON or a page."""

import csv
import json
import os
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from visionkit.commands.comparison import Column, Comparison, compare
from visionkit.commands.records import find_runs, read_record
from visionkit.errors import ConfigError, nearest
from visionkit.files import replaced_file
from visionkit.reports.comparison_page import comparison_page

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def compare_runs(
    places: list[str], metrics: list[str], sort: str | None, out: str | None, singles: list[str] | None = None
) -> int:
    """Prints the comparison, and writes it to ``out``; returns the exit code.

    Raises:
        ConfigError: C08 no run there, C67 a wrong metric, column or kind of file.
        UnsafeFileError: U30, U31 a damaged file of a run.
    """
    writer = _writer(Path(out)) if out else None
    alone = [read_record(run) for run in find_runs(singles or [])]
    comparison = compare([read_record(run) for run in find_runs(places)], metrics, sort, alone)
    _print(comparison)
    if out and writer:
        with replaced_file(Path(out)) as new:
            new.write_text(writer(comparison), encoding="utf-8", newline="\n")
        print(f"wrote {out}")
    print("Next: visionkit report run=RUN shows the pictures and curves of one of them")
    return 0


def markdown(comparison: Comparison) -> str:
    """A table with the best figures in bold, and the notes as a list."""
    columns, common = readable(comparison)
    rows = [[_escape(column.title) for column in columns], ["---:" if c.numeric else "---" for c in columns]]
    for row in range(len(columns[0].values)):
        cells = [(_escape(column.cells()[row]), row in column.best()) for column in columns]
        rows.append([f"**{cell}**" if best else cell for cell, best in cells])
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    notes = "".join(f"- {note}\n" for note in comparison.notes)
    return "\n".join(part for part in (table, f"{common}\n" if common else "", notes) if part)


def as_csv(comparison: Comparison) -> str:
    """Every column with its key; seconds, bytes and whole numbers, empty where there is nothing."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.key for column in comparison.columns])
    writer.writerows(zip(*[column.values for column in comparison.columns], strict=True))
    return text.getvalue()


def as_json(comparison: Comparison) -> str:
    """``{"runs": [{key: value}], "notes": [...]}``; null where there is nothing."""
    keys = [column.key for column in comparison.columns]
    rows = zip(*[column.values for column in comparison.columns], strict=True)
    content = {"runs": [dict(zip(keys, row, strict=True)) for row in rows], "notes": comparison.notes}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def readable(comparison: Comparison) -> tuple[list[Column], str]:
    """The columns for a person, and in one line the precision and device where all runs share them."""
    columns, common = [], []
    for column in (column for column in comparison.columns if column.shown):
        known = {value for value in column.values if value is not None}
        if column.key not in ("precision", "device") or len(known) > 1:
            columns.append(column)
        else:
            common += [f"{column.title}: {value}" for value in known]
    return columns, ", ".join(common)


def _print(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, width=None if os.isatty(1) else 160)
    columns, common = readable(comparison)
    upright = _table(columns)
    wanted = console.measure(upright, options=console.options.update(max_width=10_000)).maximum
    console.print(upright if wanted <= console.width else _turned(columns))
    for line in [*([common] if common else []), *comparison.notes]:
        console.print(Text(line), soft_wrap=True)


def _table(columns: list[Column]) -> "Table":
    """A row for each run."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(Text(column.title), justify="right" if column.numeric else "left", overflow="fold")
    for row in range(len(columns[0].values)):
        table.add_row(*[_cell(column, row) for column in columns])
    return table


def _turned(columns: list[Column]) -> "Table":
    """A row for each fact: what fits where the runs differ in much."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    names, *facts = columns
    table = Table(box=box.SIMPLE_HEAD)
    for title in (names.title, *names.cells()):
        table.add_column(Text(title), overflow="fold")
    for fact in facts:
        table.add_row(Text(fact.title), *[_cell(fact, row) for row in range(len(names.values))])
    return table


def _cell(column: Column, row: int) -> "Text":
    from rich.text import Text

    return Text(column.cells()[row], style="bold" if row in column.best() else "")


def _writer(path: Path) -> Callable[[Comparison], str]:
    if path.suffix not in _WRITERS:
        raise ConfigError("C67", f"--out {path}", "is no kind of file for a table", nearest(path.suffix, _WRITERS))
    return _WRITERS[path.suffix]


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def as_page(comparison: Comparison) -> str:
    """A self-contained page: the table, and each metric against the time of a step."""
    columns, common = readable(comparison)
    rows = [[column.cells()[row] for column in columns] for row in range(len(columns[0].values))]
    best = {(row, place) for place, column in enumerate(columns) for row in column.best()}
    return comparison_page(
        [column.title for column in columns], rows, best, [common, *comparison.notes], pareto(comparison)
    )


def pareto(comparison: Comparison) -> dict[str, list[tuple[str, float, float]]]:
    """For each metric that has a best end: runs with milliseconds a step and the figure, the better the higher."""
    by_key = {column.key: column for column in comparison.columns}
    names, times = by_key["run"].values, by_key["step_time_s"].values
    return {
        f"{column.title}{' (negative, so that higher is better)' if column.mode == 'min' else ''}": [
            (str(name), 1e3 * float(time), float(value) * (-1 if column.mode == "min" else 1))
            for name, time, value in zip(names, times, column.values, strict=True)
            if time is not None and value is not None
        ]
        for column in comparison.columns
        if column.mode is not None and column.shown
    }


_WRITERS: Mapping[str, Callable[[Comparison], str]] = {
    ".md": markdown,
    ".csv": as_csv,
    ".json": as_json,
    ".html": as_page,
}
