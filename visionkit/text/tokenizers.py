"""Tokenizers: text to token ids and back.

One id, 0, is the token before the first, the token after the last, and the blank of CTC: none of the three is ever
needed beside another. So a recogniser has one class more than its text has tokens.
"""

import re
from collections.abc import Sequence
from typing import ClassVar, Protocol

from visionkit.errors import DataError
from visionkit.labels import Charset, WordList
from visionkit.text.normalise import REPLACEMENT, Form, described, normalised


class Tokenizer(Protocol):
    """What decoders, losses and ``generation/`` know of a text's tokens."""

    size: int
    """Number of ids, the special ones among them."""
    start: int
    """Before the first token of an autoregressive decoder."""
    end: int
    """After its last token."""
    blank: int
    """Of CTC."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special ones. Raises DataError D112 for what has no id."""

    def encode_known(self, text: str) -> list[int]:
        """The same without what has no id."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; special ones and those below 0 give nothing."""


class TokenList:
    """A tokenizer over a list of strings, which have the ids from 1 on.

    Args:
        tokens: in the order of their ids.
        separator: what stands between two tokens of a text.
        normalization: Unicode normal form that texts are brought to.
        unknown: gives what is not in the list one id more, which is read as U+FFFD; else it is an error.
    """

    start: ClassVar[int] = 0
    end: ClassVar[int] = 0
    blank: ClassVar[int] = 0

    def __init__(
        self, tokens: Sequence[str], separator: str = "", normalization: Form = "NFC", unknown: bool = False
    ) -> None:
        self.tokens = (*tokens, REPLACEMENT) if unknown and REPLACEMENT not in tokens else tuple(tokens)
        self.ids = {token: number for number, token in enumerate(self.tokens, 1)}
        self.separator, self.normalization = separator, normalization
        self.unknown = self.ids[REPLACEMENT] if unknown else None
        self.size = len(self.tokens) + 1
        longest_first = sorted(self.tokens, key=len, reverse=True)
        clusters = any(len(token) > 1 for token in self.tokens)
        self.pattern = re.compile("|".join([*map(re.escape, longest_first), "."]), re.DOTALL) if clusters else None

    def split(self, text: str) -> list[str]:
        """The tokens of a text: between separators, or, without one, always the longest that fits."""
        text = normalised(text, self.normalization)
        if self.separator:
            return [token for token in text.split(self.separator) if token]
        return list(text) if self.pattern is None else self.pattern.findall(text)

    def encode(self, text: str) -> list[int]:
        """Ids of a text. Raises DataError D112 for what is not in the list."""
        return self.encode_tokens(self.split(text))

    def encode_known(self, text: str) -> list[int]:
        """Ids of what is in the list."""
        return self.encode_tokens([token for token in self.split(text) if token in self.ids or self.unknown])

    def encode_tokens(self, tokens: Sequence[str]) -> list[int]:
        """Ids of a text that is already split. Raises DataError D112 for what is not in the list."""
        try:
            return [self.ids[token] for token in tokens]
        except KeyError as missing:
            if self.unknown is not None:
                return [self.ids.get(token, self.unknown) for token in tokens]
            token = missing.args[0]
            what = f"there is no token for {described(token) if len(token) == 1 else repr(token)}"
            fix = "build the charset or word list from all labels, or set unknown=true for a token that stands for it"
            raise DataError("D112", "".join(tokens)[:80] or "text", what, fix) from None

    def decode_tokens(self, ids: Sequence[int]) -> list[str]:
        """Tokens of ids; special ones and those below 0 give nothing."""
        return [self.tokens[number - 1] for number in ids if number > 0]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; special ones and those below 0 give nothing."""
        return self.separator.join(self.decode_tokens(ids))


class CharacterTokenizer(TokenList):
    """An id for each character of a charset.

    Attributes:
        ngrams: of the charset.
    """

    def __init__(self, charset: Charset, unknown: bool = False) -> None:
        super().__init__(charset.characters, "", charset.normalization, unknown)
        self.ngrams = charset.ngrams


class WordTokenizer(TokenList):
    """An id for each word of a list, such as the tokens of formulas or of a table's structure."""

    def __init__(self, words: WordList, unknown: bool = False) -> None:
        super().__init__(words.words, words.separator, words.normalization, unknown)


class ByteTokenizer:
    """An id for each byte of UTF-8: no character is unknown, and nothing has to be built from data."""

    start: ClassVar[int] = 0
    end: ClassVar[int] = 0
    blank: ClassVar[int] = 0
    size: ClassVar[int] = 257

    def __init__(self, labels: Charset | None = None) -> None:
        self.normalization: Form = "NFC" if labels is None else labels.normalization

    def encode(self, text: str) -> list[int]:
        """Ids of a text; half of a surrogate pair, which no text file can hold, is an error (DataError D112)."""
        return [byte + 1 for byte in utf8(normalised(text, self.normalization))]

    def encode_known(self, text: str) -> list[int]:
        """Ids without halves of surrogate pairs."""
        return self.encode(text.encode(errors="ignore").decode())

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; bytes that are no UTF-8 give U+FFFD, special ids and those below 0 nothing."""
        return bytes(number - 1 for number in ids if number > 0).decode(errors="replace")


def utf8(text: str) -> bytes:
    """The bytes of a text. Raises DataError D112 for half of a surrogate pair, which no text file can hold."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        what = f"there are no bytes for {error.object[error.start : error.end]!r}"
        raise DataError("D112", ascii(text)[:80], what, "write the label as valid UTF-8") from None
