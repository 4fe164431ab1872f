"""What data sets say of their targets: classes, characters, tokens; and a table, the one target that is no array."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what stands in it, and where.

    Attributes:
        tokens: of its content, characters and inline tags such as ``<b>``.
        box: left, top, right, bottom in pixels; None where it is not known or the cell is empty.
    """

    tokens: tuple[str, ...] = ()
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Table:
    """A table as PubTabNet writes it: tokens of its structure, and a cell for every ``<td`` among them."""

    structure: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Classes:
    """Names and colours of the classes of a mask, in the order of their indices."""

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Edges:
    """How the edges of a dataset are judged.

    Attributes:
        tolerance: largest distance of a found edge from a drawn one, as a share of the picture's diagonal.
    """

    tolerance: float = 0.0075


@dataclass(frozen=True)
class Objects:
    """What the points of a dataset stand on."""

    name: str = "people"


@dataclass(frozen=True)
class Charset:
    """The characters that a dataset's text may hold, in the order of their ids.

    Attributes:
        characters: single code points (or grapheme clusters) in the normal form.
        normalization: Unicode normal form of every text.
        right_to_left: whether lines are read from the right.
        merges: pairs of bytes and subwords that are joined where the text is read in subwords, the first first.
        ngrams: how often characters follow each other, of ``text.character_ngrams``; empty where nobody has counted.

    Raises ValueError for n-grams that are not all of one order.
    """

    characters: tuple[str, ...]
    normalization: Literal["NFC", "NFD", "NFKC", "NFKD"] = "NFC"
    right_to_left: bool = False
    merges: tuple[tuple[str, str], ...] = ()
    ngrams: tuple[tuple[int, int, str], ...] = ()

    def __post_init__(self) -> None:
        orders = {order for order, _, _ in self.ngrams}
        wrong = any(order < 1 or count < 1 or len(joined) % order for order, count, joined in self.ngrams)
        if wrong or len(orders) > 1:
            raise ValueError("the n-grams are not all of the one order that they name")

    def __len__(self) -> int:
        return len(self.characters)


@dataclass(frozen=True)
class WordList:
    """The tokens that a text is written in where they are longer than characters, such as those of LaTeX.

    Attributes:
        words: in the order of their ids.
        separator: what stands between the words of a text; empty where they follow each other directly.
        normalization: Unicode normal form of every text.
    """

    words: tuple[str, ...]
    separator: str = " "
    normalization: Literal["NFC", "NFD", "NFKC", "NFKD"] = "NFC"

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True)
class BytePairs:
    """Subwords of byte pair encoding: the characters, and the pairs that are joined, the most frequent first.

    Attributes:
        characters: that a text may hold, in the order of their ids.
        merges: pairs of subwords; the joined pairs have the ids after the characters.
        normalization: Unicode normal form of every text.
    """

    characters: tuple[str, ...]
    merges: tuple[tuple[str, str], ...] = ()
    normalization: Literal["NFC", "NFD", "NFKC", "NFKD"] = "NFC"


@dataclass(frozen=True)
class TableTokens:
    """The tokens that a dataset's tables are made of, in the order of their ids: of the structure, and of the cells."""

    structure: tuple[str, ...]
    content: tuple[str, ...]
