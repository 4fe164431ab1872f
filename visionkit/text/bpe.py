"""Byte pair encoding: subwords that are learned from texts."""

import json
from collections.abc import Iterable

from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers, trainers

from visionkit.errors import ConfigError
from visionkit.labels import BytePairs
from visionkit.text.charset import charset_of
from visionkit.text.normalise import Form, normalised
from visionkit.text.tokenizers import TokenList


def byte_pairs_of(texts: Iterable[str], size: int, normalization: Form = "NFC", least: int = 2) -> BytePairs:
    """Learns subwords from texts (Sennrich et al. 2016, arXiv 1508.07909).

    Args:
        texts: all labels; a subword does not reach over a space, which begins the word after it.
        size: characters and joined pairs at most; there are fewer where the texts are short.
        normalization: Unicode normal form that texts are brought to.
        least: times that a pair must occur.

    Raises ConfigError C178 where the texts have more characters than ``size``.
    """
    texts = [normalised(text, normalization) for text in texts]
    characters = charset_of(texts, normalization).characters
    if len(characters) > size:
        what = f"{size} subwords are fewer than the {len(characters)} characters of the texts"
        raise ConfigError("C178", "task.tokenizer.size", what, "give a larger size, or read the text by bytes")
    library = Library(models.BPE())
    library.pre_tokenizer = _words()
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=least, initial_alphabet=list(characters), show_progress=False
    )
    library.train_from_iterator(texts, trainer)
    merges = json.loads(library.to_str())["model"]["merges"]
    return BytePairs(characters, tuple(tuple(pair) for pair in merges), normalization)


class BytePairTokenizer(TokenList):
    """An id for each character and each joined pair of ``BytePairs``."""

    def __init__(self, pairs: BytePairs, unknown: bool = False) -> None:
        tokens = dict.fromkeys([*pairs.characters, *(first + second for first, second in pairs.merges)])
        super().__init__(tuple(tokens), "", pairs.normalization, unknown)
        self.library = Library(models.BPE({token: index for index, token in enumerate(tokens)}, list(pairs.merges)))
        self.library.pre_tokenizer = _words()
        self.known = set(pairs.characters)

    def split(self, text: str) -> list[str]:
        """The subwords of a text; characters that there is no id for stand alone."""
        text = normalised(text, self.normalization)
        if set(text) <= self.known:
            return list(self.library.encode(text).tokens)
        parts: list[str] = []
        known = ""
        for character in text:
            if character in self.known:
                known += character
                continue
            parts += [*self.library.encode(known).tokens, character]
            known = ""
        return parts + list(self.library.encode(known).tokens)


def _words() -> pre_tokenizers.PreTokenizer:
    """Words, each with the space before it."""
    return pre_tokenizers.Split(" ", "merged_with_next")
