import math

import pytest
import torch

from visionkit.labels import Classes
from visionkit.metrics.collections import by_case
from visionkit.metrics.conventions import Standard, TransUNet
from visionkit.metrics.overlap import CaseDice, diagonal, dice
from visionkit.metrics.segmentation import confusion_matrix

NAN = math.nan


def volumes() -> tuple[torch.Tensor, torch.Tensor]:
    """Three cases of 2 x 2 x 2 with 3 classes, the second without class 2, the third with nothing but background."""
    truth = torch.tensor([[1, 1, 1, 0, 0, 0, 2, 2], [1, 1, 0, 0, 0, 0, 0, 0], [0] * 8])
    guess = torch.tensor([[1, 1, 0, 0, 0, 1, 2, 0], [1, 1, 0, 0, 0, 0, 0, 2], [0] * 8])
    return guess.view(3, 2, 2, 2), truth.view(3, 2, 2, 2)


def test_dice_of_random_masks_is_its_formula() -> None:
    random = torch.Generator().manual_seed(0)
    guess, truth = (torch.randint(0, 4, (5, 6, 7), generator=random) for _ in range(2))
    guess[guess == 3] = 2
    truth[truth == 3] = 1
    sets = [(set((guess == k).flatten().nonzero()[:, 0].tolist()), k) for k in range(4)]
    for found, (predicted, k) in zip(dice(confusion_matrix(guess, truth, 4)).tolist(), sets, strict=True):
        true = set((truth == k).flatten().nonzero()[:, 0].tolist())
        expected = 2 * len(predicted & true) / (len(predicted) + len(true)) if predicted | true else NAN
        assert found == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        (Standard(), [(4 / 6 + 1) / 2, (2 / 3 + 0) / 2]),  # the third case counts for none, the second for both
        (Standard(absent_dice=1.0), [(4 / 6 + 1 + 1) / 3, (2 / 3 + 0 + 1) / 3]),
        (TransUNet(), [(4 / 6 + 1 + 0) / 3, (2 / 3 + 1 + 0) / 3]),
    ],
    ids=str,
)
def test_mean_over_cases_then_classes_without_background(convention, expected) -> None:
    metric = CaseDice(3, convention)
    metric.update(*volumes())
    figures = metric.compute()
    assert figures["dice"][1:].tolist() == pytest.approx(expected)
    assert float(figures["mean_dice"]) == pytest.approx(sum(expected) / 2)
    assert float(figures["dice"][0]) == pytest.approx((2 * 2 / 7 + 2 * 5 / 11 + 1) / 3)


def test_ignored_voxels_count_for_nothing() -> None:
    guess, truth = volumes()
    padded = [torch.nn.functional.pad(mask, (0, 1, 0, 2, 0, 3), value=fill) for mask, fill in ((guess, 1), (truth, -1))]
    plain, other = CaseDice(3), CaseDice(3)
    plain.update(guess, truth)
    other.update(*padded)
    torch.testing.assert_close(other.compute(), plain.compute(), rtol=0, atol=0)


def test_diagonal_leaves_padding_out() -> None:
    mask = torch.zeros(5, 6, 7, dtype=torch.long)
    mask[3:], mask[:, 4:], mask[:, :, 6:] = -1, -1, -1
    assert diagonal(mask, (2.0, 1.0, 0.5)) == pytest.approx(math.sqrt(6**2 + 4**2 + 3**2))


def test_processes_add_up() -> None:
    guess, truth = volumes()
    whole, parts = CaseDice(3), [CaseDice(3) for _ in range(2)]
    whole.update(guess, truth)
    for case in range(3):
        parts[case % 2].update(guess[case : case + 1], truth[case : case + 1])
    merged = CaseDice(3)
    for state in ("total", "cases"):
        setattr(merged, state, merged._reductions[state](torch.stack([getattr(part, state) for part in parts])))
    merged._update_count = 1
    torch.testing.assert_close(merged.compute(), whole.compute())


def test_no_case_is_no_number() -> None:
    figures = CaseDice(3).compute()
    assert math.isnan(figures["mean_dice"])
    assert figures["dice"].isnan().all()


def test_a_collection_keeps_figures_apart_that_begin_alike() -> None:
    """All background: Dice and distance are 0 everywhere after the first batch, and must not be one from then on."""
    metrics = by_case(Classes(("background", "a", "b")), TransUNet())
    guess, truth = volumes()
    metrics.update(torch.zeros_like(truth), truth, spacing_mm=torch.ones(3, 3, dtype=torch.float64))
    metrics.update(guess, truth, spacing_mm=torch.ones(3, 3, dtype=torch.float64))
    figures = metrics.compute()
    assert float(figures["mean_dice"]) == pytest.approx(((4 / 6 + 1) / 6 + (2 / 3 + 1) / 6) / 2)
    assert float(figures["mean_hd95"]) > 0
    assert float(figures["mean_hd95"]) != float(figures["mean_dice"])
    assert not metrics.state_dict()
