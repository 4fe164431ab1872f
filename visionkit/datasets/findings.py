"""What is wrong with a dataset, as data: one line each."""

from dataclasses import dataclass
from typing import Literal

from visionkit.errors import DataError


@dataclass(frozen=True)
class Finding:
    """One fault of a dataset (``error``: training would stop at it) or a doubt (``warning``).

    Attributes:
        path: the file or folder, or the split where it is none.
        key: the sample that is lost, empty where it is not one sample.
    """

    path: str
    code: str
    what: str
    fix: str
    severity: Literal["error", "warning"] = "error"
    key: str = ""

    @classmethod
    def of(cls, error: DataError, key: str = "") -> "Finding":
        """The finding that an error is."""
        return cls(error.place, error.code, error.what, error.fix, "error", key)

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{self.severity}[{self.code}] {place}{self.what}; {self.fix}"
