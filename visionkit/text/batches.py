"""Texts as tensors: what decoders are taught with, and code points for predictions."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from visionkit.text.tokenizers import Tokenizer
from visionkit.types import IGNORE_INDEX


def filled_up(rows: Sequence[Sequence[int]], fill: int = IGNORE_INDEX) -> Int64[Tensor, "b t"]:
    """Rows of different lengths as one tensor, filled up at their ends."""
    longest = max(map(len, rows), default=0)
    full = [[*row, *[fill] * (longest - len(row))] for row in rows]
    return torch.tensor(full, dtype=torch.int64).view(len(rows), longest)


def trimmed(rows: Int64[Tensor, "b t"]) -> Int64[Tensor, "b k"]:
    """Without the places behind the longest row."""
    return rows[:, (rows != IGNORE_INDEX).any(0)]


def by_length(rows: Int64[Tensor, "b t"], shortest: int = 8) -> list[Int64[Tensor, "k"]]:
    """Indices of rows in groups, none of which holds a row more than twice as long as another, but for the first: all
    of up to ``shortest`` tokens are one group.
    """
    lengths = (rows != IGNORE_INDEX).sum(1).clamp(min=shortest)
    groups = (lengths.double() / shortest).log2().ceil()
    return [(groups == group).nonzero()[:, 0] for group in groups.unique()]


def teacher_forced(
    ids: Sequence[Sequence[int]], tokenizer: Tokenizer
) -> tuple[Int64[Tensor, "b t"], Int64[Tensor, "b t"]]:
    """Inputs of an autoregressive decoder, which begin with the start token, and the token after each of them.

    The targets end with the end token and are filled up with IGNORE_INDEX, the inputs with the end token.
    """
    inputs = filled_up([[tokenizer.start, *row] for row in ids], tokenizer.end)
    return inputs, filled_up([[*row, tokenizer.end] for row in ids], IGNORE_INDEX)


def frames_needed(ids: Sequence[Any]) -> int:
    """Frames that CTC needs for a sequence at least: one for each entry, and a blank between two equal ones."""
    return len(ids) + sum(first == second for first, second in pairwise(ids))


def to_code_points(texts: Sequence[str]) -> Int64[Tensor, "b t"]:
    """Unicode code points of texts, rows filled up with -1: how a Prediction holds text."""
    return filled_up([[ord(character) for character in text] for text in texts])


def from_code_points(rows: Int64[Tensor, "b t"]) -> list[str]:
    """Texts of code points; those below 0 give nothing."""
    return ["".join(chr(code) for code in row if code >= 0) for row in rows.tolist()]
