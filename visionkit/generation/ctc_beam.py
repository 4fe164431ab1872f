"""Prefix beam search of connectionist temporal classification, with an optional n-gram language model."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from visionkit.generation.ctc import alignment
from visionkit.generation.ctc_prefixes import search
from visionkit.generation.ngram_lm import NGramModel, Tables
from visionkit.generation.result import Decoded, padded, trimmed
from visionkit.generation.scores import require_settings

_NONE = NGramModel(1, 1, {}).tables
"""Every token is certain."""


def ctc_beam(logits: Float[Tensor, "b t v"], lengths: Int64[Tensor, "b"] | None = None, **options: Any) -> Decoded:
    """The best text of each row; options as of ``ctc_hypotheses``."""
    return ctc_hypotheses(logits, lengths, **options)[0]


def ctc_language_beam(
    logits: Float[Tensor, "b t v"],
    lengths: Int64[Tensor, "b"] | None = None,
    *,
    language_model: NGramModel,
    width: int = 25,
    model_weight: float = 0.3,
    token_bonus: float = 1.0,
    **options: Any,
) -> Decoded:
    """The best text of each row by what is seen and what the language says; options as of ``ctc_hypotheses``."""
    weights = {"model_weight": model_weight, "token_bonus": token_bonus}
    return ctc_beam(logits, lengths, language_model=language_model, width=width, **weights, **options)


@torch.no_grad()
def ctc_hypotheses(
    logits: Float[Tensor, "b t v"],
    lengths: Int64[Tensor, "b"] | None = None,
    *,
    blank: int = 0,
    width: int = 10,
    temperature: float = 1.0,
    language_model: NGramModel | None = None,
    model_weight: float = 0.5,
    token_bonus: float = 0.0,
    count: int = 1,
) -> list[Decoded]:
    """The ``count`` best texts of each row, best first; where there are fewer, the others have a probability of 0.

    Prefixes are extended frame by frame, and all paths of a prefix add up (Graves 2012, Hannun et al. 2014, arXiv
    1408.2873). Their score is log P(text | frames) + model_weight * log P_model(text) + token_bonus * tokens. The
    result's ``log_prob`` is the first term; a token is as probable as in the best of its frames on the best path.

    Args:
        logits: of tokens and blank; log-probabilities will do.
        lengths: frames of each row that are real; all without it.
        blank: its id.
        width: prefixes that are kept.
        temperature: divides the logits.
        language_model: over the same ids, its end being 0.
        model_weight, token_bonus: of the score.

    Raises ConfigError: C173, C174 of ``require_settings``.
    """
    require_settings(1, temperature, width=width, count=count)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    frames = logits.double().log_softmax(-1).cpu().numpy()
    real = [frames.shape[1]] * len(frames) if lengths is None else lengths.tolist()
    tables = _NONE if language_model is None else language_model.tables
    weight = 0.0 if language_model is None else model_weight
    rows = [
        _row(row[:length], blank, width, tables, weight, token_bonus, count)
        for row, length in zip(frames, real, strict=True)
    ]
    return [_together([row[rank] for row in rows], logits) for rank in range(min(count, width))]


Hypothesis = tuple[list[int], list[float], float]
"""Tokens, log-probability of each, and of the text."""


def _row(
    frames: np.ndarray, blank: int, width: int, tables: Tables, weight: float, bonus: float, count: int
) -> list[Hypothesis]:
    nodes, parents, tokens, log_probs, scores = search(
        np.ascontiguousarray(frames),
        blank,
        width,
        weight,
        bonus,
        tables.first,
        tables.tokens,
        tables.log_probs,
        tables.targets,
        tables.backoff,
        tables.shorter,
        tables.begin,
        tables.unseen,
    )
    found: list[Hypothesis] = []
    best = np.argsort(-scores, kind="stable")[:count]
    for node, log_prob in zip(nodes[best].tolist(), log_probs[best].tolist(), strict=True):
        text = []
        while node > 0:
            text.append(int(tokens[node]))
            node = int(parents[node])
        text.reverse()
        found.append((text, _confidences(frames, text, blank), log_prob))
    return found + [([], [], -math.inf)] * (min(count, width) - len(found))


def _confidences(frames: np.ndarray, text: list[int], blank: int) -> list[float]:
    path = alignment(frames, np.array(text, dtype=np.int64), blank)
    return [float(frames[path == index, token].max(initial=-np.inf)) for index, token in enumerate(text)]


def _together(row: list[Hypothesis], like: Tensor) -> Decoded:
    tokens = padded([text for text, _, _ in row], -1, torch.int64)
    log_probs = padded([values for _, values, _ in row], math.nan, like.dtype)
    total = torch.tensor([log_prob for _, _, log_prob in row], dtype=like.dtype)
    parts = (tokens, log_probs, total, torch.ones(len(row), dtype=torch.bool))
    return trimmed(*(part.to(like.device) for part in parts))
