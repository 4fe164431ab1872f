"""Every error that a user can cause: one line with a code, the place, what is wrong, and the way out.

Letters and exit codes: C config 2, D data 3, N non-finite 4, S storage 5, U unsafe 6, R resources 7, E export 9.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any


class VisionkitError(Exception):
    """One line: ``error[CODE] PLACE: WHAT; FIX``. Survives pickling, so that workers can raise it."""

    exit_code = 1

    def __init__(self, code: str, place: str | Path, what: str, fix: str) -> None:
        super().__init__(code, str(place), what, fix)
        self.code, self.place, self.what, self.fix = code, str(place), what, fix

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"error[{self.code}] {place}{self.what}; {self.fix}"


class ConfigError(VisionkitError):
    """The command or the configuration cannot be understood (codes C..)."""

    exit_code = 2


class DataError(VisionkitError):
    """A file of a dataset cannot be used (codes D..)."""

    exit_code = 3


class NonFiniteError(VisionkitError):
    """A loss or a gradient is no longer a number (codes N..)."""

    exit_code = 4


class StorageError(VisionkitError):
    """A checkpoint or a result cannot be written or does not verify (codes S..)."""

    exit_code = 5


class UnsafeFileError(VisionkitError):
    """A file asks for something that a data file must not (codes U..)."""

    exit_code = 6


class ResourceError(VisionkitError):
    """Memory, a device or an installed package is missing (codes R..)."""

    exit_code = 7


class ExportError(VisionkitError):
    """An exported model does not reproduce the one it was made from (codes E..)."""

    exit_code = 9


def nearest(name: str, choices: Iterable[str]) -> str:
    """Words that follow a wrong name: the closest right ones, else all of them."""
    choices = sorted(choices)
    close = get_close_matches(name, choices, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"choose from {', '.join(choices)}"


def guard(main: Callable[..., Any], *args: Any) -> Any:
    """Runs a program; an error becomes one line on stderr and an exit code (traceback: VISIONKIT_DEBUG=1)."""
    try:
        return main(*args)
    except KeyboardInterrupt as stop:
        print(f"visionkit: stopped{f'; {stop}' if str(stop) else ''}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        known = error if isinstance(error, VisionkitError) else _translate(error)
        if os.environ.get("VISIONKIT_DEBUG") == "1":
            traceback.print_exc()
        print(f"visionkit: {known}", file=sys.stderr)
        sys.exit(known.exit_code)


def _translate(error: Exception) -> VisionkitError:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError) or "out of memory" in text:
        return ResourceError("R01", "", f"out of memory ({text[:120]})", "use smaller batches or images")
    if isinstance(error, OSError) and error.filename:
        fix = "free some space" if error.errno == 28 else "check the path and its permissions"
        return StorageError("S01", str(error.filename), error.strerror or text, fix)
    text = text if len(text) < 300 else text[:300] + " ..."
    return VisionkitError("X01", "", f"{type(error).__name__}: {text}", "set VISIONKIT_DEBUG=1 to see where")
