"""Unicode: normal forms, the direction of a script, and characters by their names."""

import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Literal

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]

REPLACEMENT = "\ufffd"
"""What stands for a character that is not known."""


def normalised(text: str, form: Form = "NFC") -> str:
    """The text in a Unicode normal form (Unicode Standard Annex 15). Its order stays logical, whatever its script."""
    return text if text.isascii() else unicodedata.normalize(form, text)


def right_to_left(counts: Mapping[str, int]) -> bool:
    """Whether most of the characters with a direction of their own (strong ones) are written from the right.

    ``counts`` tells how often each occurs.
    """
    kinds = Counter[str]()
    for character, count in counts.items():
        kinds[unicodedata.bidirectional(character[:1])] += count
    return kinds["R"] + kinds["AL"] > kinds["L"]


def described(character: str) -> str:
    """A character so that it can be told from those that look the same: ``'é' (U+00E9 LATIN SMALL LETTER ...)``."""
    names = " + ".join(f"U+{ord(code):04X} {unicodedata.name(code, 'without a name')}" for code in character)
    return f"{character!r} ({names})"
