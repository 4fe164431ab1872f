"""Texts as tensors."""

import torch

from visionkit.labels import Charset
from visionkit.text.batches import (
    by_length,
    filled_up,
    frames_needed,
    from_code_points,
    teacher_forced,
    to_code_points,
    trimmed,
)
from visionkit.text.tokenizers import CharacterTokenizer
from visionkit.types import IGNORE_INDEX


def test_inputs_and_targets_of_teacher_forcing():
    tokenizer = CharacterTokenizer(Charset(tuple("abc")))
    inputs, targets = teacher_forced([tokenizer.encode("abc"), tokenizer.encode("b"), []], tokenizer)
    assert inputs.tolist() == [[0, 1, 2, 3], [0, 2, 0, 0], [0, 0, 0, 0]]
    assert targets.tolist() == [[1, 2, 3, 0], [2, 0, IGNORE_INDEX, IGNORE_INDEX], [0, *[IGNORE_INDEX] * 3]]


def test_rows_of_about_one_length_are_together():
    rows = filled_up([[1] * length for length in (40, 2, 17, 8, 9, 16, 0)])
    assert [group.tolist() for group in by_length(rows)] == [[1, 3, 6], [4, 5], [2], [0]]
    assert [trimmed(rows[group]).shape[1] for group in by_length(rows)] == [8, 16, 17, 40]
    assert by_length(rows[:0]) == []
    assert trimmed(rows[:0]).shape == (0, 0)


def test_frames_that_ctc_needs():
    assert [frames_needed(ids) for ids in ([], [1], [1, 1], [1, 2, 2, 2, 1])] == [0, 1, 3, 7]
    logits = torch.zeros(7, 1, 3).log_softmax(-1)
    size = torch.tensor([5])
    for length in (6, 7):
        loss = torch.nn.functional.ctc_loss(logits, torch.tensor([[1, 2, 2, 2, 1]]), torch.tensor([length]), size)
        assert bool(loss.isfinite()) == (length == 7)


def test_code_points_there_and_back():
    texts = ["", "a😀", "שלום"]
    assert from_code_points(to_code_points(texts)) == texts
    assert to_code_points(texts).shape == (3, 4)
    assert to_code_points([]).shape == filled_up([]).shape == (0, 0)
    assert to_code_points([""]).shape == (1, 0)
