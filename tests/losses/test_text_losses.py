import itertools

import pytest
import torch

from visionkit.losses.ctc import ctc_loss, unalignable
from visionkit.losses.sequence import token_cross_entropy
from visionkit.types import IGNORE_INDEX


def collapsed(path: tuple[int, ...]) -> list[int]:
    return [token for token, _ in itertools.groupby(path) if token]


def likelihood(probabilities: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """The sum over every path, written out."""
    frames, classes = probabilities.shape
    paths = [path for path in itertools.product(range(classes), repeat=frames) if collapsed(path) == ids]
    return sum(torch.stack([probabilities[t, token] for t, token in enumerate(path)]).prod() for path in paths)


@pytest.mark.parametrize("ids", [[], [1], [1, 2], [2, 2], [1, 2, 1]], ids=str)
def test_ctc_sums_over_all_paths(ids: list[int]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 4, 3, dtype=torch.float64)
    want = -likelihood(logits[0].softmax(-1), ids).log() / max(1, len(ids))
    torch.testing.assert_close(ctc_loss(logits, [ids], torch.tensor([4])), want)


def test_frames_behind_a_row_say_nothing_and_rows_are_averaged() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 6, 3)
    ids, frames = [[1, 2], [2]], torch.tensor([6, 3])
    single = [ctc_loss(logits[:1], ids[:1], frames[:1]), ctc_loss(logits[1:, :3], ids[1:], frames[1:])]
    torch.testing.assert_close(ctc_loss(logits, ids, frames), sum(single) / 2)


def test_what_cannot_be_aligned_costs_nothing_and_is_told() -> None:
    logits = torch.randn(2, 3, 3, requires_grad=True)
    ids, frames = [[1, 1, 2], [1]], torch.tensor([3, 3])
    loss = ctc_loss(logits, ids, frames)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad[0].abs().sum() == 0
    assert logits.grad[1].abs().sum() > 0
    assert unalignable(ids, frames) == [0]
    assert unalignable([[1, 1, 2], []], torch.tensor([4, 1])) == []


def test_texts_that_are_all_empty() -> None:
    logits = torch.randn(2, 3, 3, requires_grad=True)
    want = -logits.log_softmax(-1)[:, :, 0].sum(1).mean()
    torch.testing.assert_close(ctc_loss(logits, [[], []], torch.tensor([3, 3])), want)
    assert float(ctc_loss(logits[:0], [], torch.zeros(0, dtype=torch.int64))) == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_tokens_weigh_the_same_and_fill_nothing(smoothing: float) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 3, 4), torch.tensor([[1, 0, IGNORE_INDEX], [3, IGNORE_INDEX, IGNORE_INDEX]])
    log_probs = logits.log_softmax(-1)
    known = [(0, 0, 1), (0, 1, 0), (1, 0, 3)]
    rows = [-(1 - smoothing) * log_probs[b, t, k] - smoothing * log_probs[b, t].mean() for b, t, k in known]
    torch.testing.assert_close(token_cross_entropy(logits, targets, smoothing), sum(rows) / 3)
    assert float(token_cross_entropy(logits, torch.full_like(targets, IGNORE_INDEX))) == 0
    assert float(token_cross_entropy(logits[:0], targets[:0], smoothing)) == 0
