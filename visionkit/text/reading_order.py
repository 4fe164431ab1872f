"""Lines of scripts from the right, in which numbers and foreign words run from the left.

Text is stored in the order in which it is spoken (logical order). Who looks at a line from its right end meets the
letters of Arabic or Hebrew in this order, too, but a number or a Latin word from behind. Both orders are made from each
other as Unicode Standard Annex 9 lays out a paragraph from the right without explicit controls: rules W1 to W7, N1, N2
and L2. Brackets are signs as others are (no N0), and a line of Latin letters alone is laid out from the right, too.
"""

import unicodedata
from collections.abc import Sequence
from itertools import groupby

_FROM_RIGHT = ("R", "AL")
_CLINGING = ("NSM", "BN")
"""Marks, and what cannot be seen: they stay behind what they stand behind (W1, X9)."""


def from_right(text: str) -> str:
    """The characters of a line from the right as they stand from its right end on."""
    return "".join(text[place] for place in order_from_right(text))


def as_spoken(seen: str) -> str:
    """The text of a line whose characters were read from the right end on: the inverse of ``from_right``.

    One picture can have two texts: a number beside Latin letters, with spaces or signs alone between them, looks the
    same before and after them ("12 abc" is drawn as "abc 12"). It is taken to follow them. European numbers that follow
    Latin letters and then Arabic digits are taken one by one.
    """
    return "".join(seen[place] for place in order_as_spoken(seen))


def order_from_right(tokens: Sequence[str]) -> list[int]:
    """Which of these characters (or clusters, each as its first one) stands first from the right, which then."""
    return _reordered(tokens, 1)


def order_as_spoken(tokens: Sequence[str]) -> list[int]:
    """Which of these characters, read from the right, is spoken first, which then; as of ``as_spoken``."""
    return _reordered(tokens, -1)


def _reordered(tokens: Sequence[str], step: int) -> list[int]:
    """Places with every run from the left turned; ``step`` is -1 where the tokens' runs are turned already."""
    units = _units(tokens)
    kinds = [unicodedata.bidirectional(tokens[unit[0]][:1]) for unit in units]
    kinds = ["R" if kind in _CLINGING else kind for kind in kinds]  # nothing is before them
    order: list[int] = []
    before = "R"
    for strong, group in groupby(range(len(units)), lambda place: kinds[place] in _FROM_RIGHT):
        places = list(group)
        if strong:
            order += places
            before = kinds[places[-1]]
            continue
        runs = _from_left([kinds[place] for place in places][::step], before)[::step]
        for turned, run in groupby(zip(runs, places, strict=True), lambda pair: pair[0]):
            order += [place for _, place in run][:: -1 if turned else 1]
    return [place for unit in order for place in units[unit]]


def _units(tokens: Sequence[str]) -> list[list[int]]:
    """Places of each token and of the marks behind it."""
    units: list[list[int]] = []
    for place, token in enumerate(tokens):
        if units and unicodedata.bidirectional(token[:1]) in _CLINGING:
            units[-1].append(place)
        else:
            units.append([place])
    return units


def _from_left(kinds: Sequence[str], before: str) -> list[bool]:
    """Which characters between two letters from the right, the first of the kind ``before``, run from the left."""
    kinds = _numbers(kinds, before)
    found: list[bool] = []
    for run, group in groupby(kinds, lambda kind: kind if kind in ("L", "AN", "EN") else ""):
        length = len(list(group))
        enclosed = 0 < len(found) < len(kinds) - length and kinds[len(found) - 1] == kinds[len(found) + length] == "L"
        found += [run != "" or enclosed] * length  # N1, N2: what is not between two letters goes from the right
    return found


def _numbers(kinds: Sequence[str], before: str) -> list[str]:
    """Rules W2 and W4 to W7: what belongs to a number is one, and a number behind Latin letters is as they are."""
    kinds, strong = list(kinds), before
    for place, kind in enumerate(kinds):
        strong = "L" if kind == "L" else strong
        if kind == "EN" and strong == "AL":
            kinds[place] = "AN"
    for place in range(1, len(kinds) - 1):
        first, middle, last = kinds[place - 1 : place + 2]
        if first == last and (first, middle) in (("EN", "CS"), ("AN", "CS"), ("EN", "ES")):
            kinds[place] = first
    signed: list[str] = []
    for kind, group in groupby(kinds):
        length = len(list(group))
        beside = (*signed[-1:], *kinds[len(signed) + length : len(signed) + length + 1])
        signed += ["EN" if kind == "ET" and "EN" in beside else kind] * length
    strong = before
    for place, kind in enumerate(signed):
        strong = "L" if kind == "L" else strong
        signed[place] = "L" if kind == "EN" and strong == "L" else kind
    return signed
