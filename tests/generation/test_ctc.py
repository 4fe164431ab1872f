"""Connectionist temporal classification against all paths and all texts, and against torch's loss."""

import itertools
import math

import numpy as np
import pytest
import torch
from tiny_ctc import collapsed, every_text
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.generation.ctc import alignment, ctc_greedy
from visionkit.generation.ctc_beam import ctc_beam, ctc_hypotheses
from visionkit.generation.ngram_lm import NGramModel


def frames(seed, rows=3, length=5, classes=3, sharp=1.5):
    generator = torch.Generator().manual_seed(seed)
    return sharp * torch.randn(rows, length, classes, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("blank", [0, 2])
def test_greedy_joins_and_removes(blank):
    for seed in range(10):
        logits = frames(seed, 4, 9, 4)
        lengths = torch.tensor([9, 0, 4, 1])
        decoded = ctc_greedy(logits, lengths, blank=blank)
        for row, length in enumerate(lengths.tolist()):
            steps = logits[row, :length].log_softmax(-1)
            path = steps.argmax(-1).tolist()
            assert decoded.rows()[row] == list(collapsed(path, blank))
            assert float(decoded.log_prob[row]) == pytest.approx(float(steps.max(-1).values.sum()))
            groups = [list(run) for _, run in itertools.groupby(range(length), key=lambda frame: path[frame])]
            best = [max(float(steps[frame].max()) for frame in run) for run in groups if path[run[0]] != blank]
            count = len(best)
            assert decoded.log_probs[row, :count].tolist() == pytest.approx(best)
            assert decoded.log_probs[row, count:].isnan().all()


@pytest.mark.parametrize("blank", [0, 1])
def test_a_beam_that_holds_everything_is_all_paths(blank):
    for seed in range(2):
        logits = frames(seed)
        several = ctc_hypotheses(logits, blank=blank, width=400, count=6)
        for row in range(3):
            texts = every_text(logits[row], blank)
            ranking = sorted(texts, key=lambda text: -texts[text])[:6]
            assert [tuple(each.rows()[row]) for each in several] == ranking
            assert [float(each.log_prob[row]) for each in several] == pytest.approx([texts[text] for text in ranking])


def test_with_a_language_model():
    model = NGramModel.fit([[1, 2, 1], [2, 2], [1], [], [1, 2, 2]], vocabulary=3, order=3)
    for seed, (weight, bonus) in enumerate([(1.0, 0.0), (0.5, 1.0), (2.0, -0.5), (0.7, 2.0)]):
        logits = frames(seed)
        options = {"language_model": model, "model_weight": weight, "token_bonus": bonus}
        several = ctc_hypotheses(logits, width=400, count=5, **options)
        for row in range(3):
            texts = every_text(logits[row])
            score = {text: total + weight * model.log_prob(text) + bonus * len(text) for text, total in texts.items()}
            ranking = sorted(score, key=lambda text: -score[text])[:5]
            assert [tuple(each.rows()[row]) for each in several] == ranking
            assert float(several[0].log_prob[row]) == pytest.approx(texts[ranking[0]])


def test_a_narrow_beam_finds_more_than_the_best_path():
    # Blank is the best class of both frames, but "1" has more paths.
    logits = torch.tensor([[[0.52, 0.48, 0.0]] * 2]).clamp(min=1e-9).log()
    assert ctc_greedy(logits).rows() == [[]]
    found = ctc_beam(logits, width=2)
    assert found.rows() == [[1]]
    assert float(found.confidence) == pytest.approx(1 - 0.52**2, abs=1e-6)


def test_a_prefix_that_left_the_beam_and_comes_again_is_the_same():
    """However narrow the beam, what it finds is no more probable than it is, and no text comes twice."""
    for seed in range(30):
        logits = frames(seed, 2, 12, 4, 1.0)
        for width in (1, 2, 3, 5):
            several = ctc_hypotheses(logits, width=width, count=width)
            for row in range(2):
                texts = [tuple(each.rows()[row]) for each in several if each.log_prob[row] > -math.inf]
                assert len(set(texts)) == len(texts)
                for each in several[: len(texts)]:
                    ids = torch.tensor([each.rows()[row]], dtype=torch.int64)
                    size = torch.tensor([12]), torch.tensor([ids.shape[1]])
                    exact = -F.ctc_loss(logits[row, :, None].log_softmax(-1), ids, *size, reduction="sum")
                    assert float(each.log_prob[row]) <= float(exact) + 1e-9


def test_the_probability_is_that_of_the_loss():
    logits = frames(0, 4, 8, 4)
    found = ctc_beam(logits, width=4000)  # nearly all prefixes
    ids, lengths = found.tokens.clamp(min=0), found.lengths
    losses = F.ctc_loss(logits.transpose(0, 1).log_softmax(-1), ids, torch.tensor([8] * 4), lengths, reduction="none")
    torch.testing.assert_close(found.log_prob, -losses, rtol=1e-5, atol=1e-5)


def test_a_batch_is_its_rows_and_padding_is_not_read():
    logits, lengths = frames(1, 5, 9, 5), torch.tensor([9, 3, 0, 7, 1])
    for decode in (ctc_greedy, ctc_beam):
        together = decode(logits, lengths)
        for row, length in enumerate(lengths.tolist()):
            alone = decode(logits[row : row + 1, :length])
            assert alone.rows() == together.rows()[row : row + 1]
            torch.testing.assert_close(alone.log_prob, together.log_prob[row : row + 1])
        assert decode(logits[:0]).rows() == []
        assert together.rows()[2] == []
        assert float(together.confidence[2]) == 1


def test_alignment_is_the_best_path():
    for seed in range(20):
        logits = frames(seed, 1, 6, 3)[0].log_softmax(-1)
        for text in ([], [1], [1, 1], [1, 2, 1], [2, 2, 2]):
            paths = [path for path in itertools.product(range(3), repeat=6) if collapsed(path) == tuple(text)]
            scores = [sum(float(logits[t, token]) for t, token in enumerate(path)) for path in paths]
            best = paths[int(np.argmax(scores))]
            found = alignment(logits.numpy(), np.array(text, dtype=np.int64))
            assert [0 if index < 0 else text[index] for index in found] == list(best)
    assert alignment(logits.numpy()[:2], np.array([1, 1, 1])).tolist() == [-1, -1]
    assert alignment(logits.numpy()[:0], np.array([1])).tolist() == []


def test_confidences_lie_on_the_best_path():
    logits = torch.tensor([[0.1, 0.8, 0.1], [0.1, 0.6, 0.3], [0.9, 0.05, 0.05], [0.1, 0.2, 0.7]])[None].log()
    found = ctc_beam(logits)
    assert found.rows() == [[1, 2]]
    assert found.token_confidence[0].tolist() == pytest.approx([0.8, 0.7])


@pytest.mark.parametrize(("options", "code"), [({"width": 0}, "C173"), ({"temperature": 0.0}, "C174")])
def test_settings_without_meaning(options, code):
    with pytest.raises(ConfigError, match=code):
        ctc_beam(frames(0), **options)


def test_greedy_needs_a_temperature():
    with pytest.raises(ConfigError, match="C174"):
        ctc_greedy(frames(0), temperature=0.0)
