"""Charsets from texts."""

from collections import Counter
from collections.abc import Iterable

from visionkit.labels import Charset
from visionkit.text.normalise import Form, normalised, right_to_left


def charset_of(texts: Iterable[str], normalization: Form = "NFC", least: int = 1) -> Charset:
    """The characters of texts by code point; it is read from the right where most of them are.

    Args:
        texts: all labels.
        normalization: Unicode normal form that they are brought to first.
        least: times that a character must occur.
    """
    counts = Counter(character for text in texts for character in normalised(text, normalization))
    characters = sorted(character for character, count in counts.items() if count >= least)
    return Charset(tuple(characters), normalization, right_to_left(counts))
