"""Local history of a run: one JSON object per line of ``metrics.jsonl``, whatever else is logging."""

import json
import math
import time
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from visionkit.errors import StorageError
from visionkit.files import replaced_file

Row = dict[str, Any]
_NOT_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def read_history(path: Path | str) -> list[Row]:
    """Rows of a ``metrics.jsonl`` in the order of writing; empty where there is no file.

    JSON has no NaN and no infinity: they are stored as "nan", "inf" and "-inf" and come back as floats.
    A last line without its newline was cut off by a kill and is left out.

    Raises:
        StorageError: S10 when another line is not a JSON object.
    """
    path = Path(path)
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")[:-1]
    return [_parse(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def write_history(path: Path | str, rows: list[Row]) -> None:
    """Replaces the file by these rows; a kill at any time leaves the old file or the new one."""
    with replaced_file(Path(path)) as new, new.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_line(row) for row in rows)


class JsonlLogger(Logger):
    """Appends ``{"step", "epoch", "time_s", metrics...}`` to ``<folder>/metrics.jsonl`` at every log call.

    ``step`` counts optimizer steps from 0, as Lightning's other loggers do; ``epoch`` is null where the
    caller does not say it; ``time_s`` is the training time so far, that of earlier parts of a resumed run
    included. Each row is handed to the system at once, so that a killed process loses at most a part of one
    line, which the next start cuts off.
    """

    def __init__(self, folder: Path | str) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.jsonl"
        self._file: TextIOWrapper | None = None
        self._begin = time.monotonic()
        self._step = 0
        self._logged: set[tuple[int, frozenset[str]]] = set()

    @property
    def name(self) -> str:
        """Name of the run: its folder's."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """Empty: a run folder holds one history."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.path.parent)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the run folder already holds ``config.yaml``."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Appends one row. Raises StorageError S11 when the disk refuses it."""
        self._step = self._step if step is None else int(step)
        row: Row = {"step": self._step, "epoch": None, "time_s": round(time.monotonic() - self._begin, 3)}
        row |= {name: float(value) for name, value in metrics.items() if name not in row}
        if "epoch" in metrics:
            row["epoch"] = int(metrics["epoch"])
        if (self._step, frozenset(row)) in self._logged:
            return
        try:
            file = self._file or self._open()
            file.write(_line(row))
            file.flush()
        except OSError as error:
            raise self._refused(error) from error

    @rank_zero_only
    def rewind(self, steps: int) -> None:
        """Keeps only the rows of the first ``steps`` optimizer steps: called when training starts or resumes.

        The rows that Lightning writes again for the last of these steps are then left out, so that the history
        is that of a run which was never interrupted.
        """
        self._close()
        rows = read_history(self.path)
        kept = [row for row in rows if row["step"] < steps]
        try:
            if len(kept) < len(rows):
                write_history(self.path, kept)
        except OSError as error:
            raise self._refused(error) from error
        self._logged = {(row["step"], frozenset(row)) for row in kept if row["step"] == steps - 1}
        self._begin = time.monotonic() - (kept[-1]["time_s"] if kept else 0.0)

    def finalize(self, status: str) -> None:
        """Closes the file; a later row opens it again."""
        self._close()

    def _open(self) -> TextIOWrapper:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _cut_unfinished_line(self.path)
        self._file = self.path.open("a", encoding="utf-8", newline="\n")
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _refused(self, error: OSError) -> StorageError:
        fix = "free some space or mend the permissions; the same command with resume=auto continues"
        return StorageError("S11", self.path, f"cannot be written ({error.strerror or error})", fix)


def _line(row: Row) -> str:
    return json.dumps({name: _to_json(value) for name, value in row.items()}, allow_nan=False) + "\n"


def _to_json(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _parse(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("step"), int):
        raise StorageError("S10", path, f"line {number} is not a row of a history", f"delete line {number}")
    return {name: _NOT_NUMBERS.get(value, value) if isinstance(value, str) else value for name, value in row.items()}


def _cut_unfinished_line(path: Path) -> None:
    if not path.is_file():
        return
    with path.open("rb+") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
