import pytest
import torch

from visionkit.decoders.ctc import CTC
from visionkit.decoders.line_map import LineMap
from visionkit.decoders.svtrv2 import FeatureRearrangement, heads_of
from visionkit.decoders.svtrv2_semantic import SemanticGuidance, questions_of
from visionkit.errors import ConfigError
from visionkit.types import IGNORE_INDEX


@torch.no_grad()
def test_a_narrow_map_is_taken_as_it_is() -> None:
    line = LineMap((4, 8), (4, (8, 4)))
    maps = [torch.rand(1, 4, 8, 6), torch.rand(1, 8, 4, 6)]
    assert (line.out_channels, line.stride) == (8, (8, 4))
    assert torch.equal(line(maps), maps[1])
    assert list(line.parameters()) == []


@torch.no_grad()
def test_wide_columns_go_through_all_maps_and_low_rows_are_averaged() -> None:
    line = LineMap((4, 8), (4, 16), width=6, row_px=8)
    maps = [torch.rand(1, 4, 8, 12), torch.rand(1, 8, 2, 3)]
    found = line(maps)
    assert (line.out_channels, line.stride) == (6, (8, 4))
    assert found.shape == (1, 6, 4, 12)
    assert not torch.equal(found, line([maps[0], maps[1] + 1]))


@torch.no_grad()
def test_an_encoder_without_narrow_columns_is_interpolated() -> None:
    line = LineMap((4,), (16,), width=6)
    assert line.stride == (16, 4)
    assert line([torch.rand(1, 4, 2, 3)]).shape == (1, 6, 2, 12)


def test_volumes_are_refused() -> None:
    with pytest.raises(ConfigError, match="C83"):
        LineMap((4,), (4,), spatial_dims=3)


@torch.no_grad()
def test_ctc_reads_the_mean_of_each_column() -> None:
    head, line = CTC(4, 3).eval(), torch.rand(2, 4, 3, 5)
    want = torch.stack([head.classify(line[:, :, :, place].mean(2)) for place in range(5)], 1)
    torch.testing.assert_close(head(line), want)


@torch.no_grad()
def test_rearrangement_is_the_formula_of_the_paper() -> None:
    torch.manual_seed(0)
    head, line = FeatureRearrangement(8, 3).eval(), torch.rand(1, 8, 3, 5)
    cells = torch.stack([head.rows(line[:, :, row].transpose(1, 2)) for row in range(3)], 1)
    keys, values = head.keys_values(cells).split(8, -1)
    for column in range(5):
        share = torch.stack([keys[0, row, column] @ head.token for row in range(3)]).softmax(0)
        mixed = sum(share[row] * values[0, row, column] for row in range(3))
        torch.testing.assert_close(head(line)[0, column], head.classify(mixed))


HEADS = [(256, 8), (384, 12), (32, 1), (8, 1), (12, 1), (72, 2), (1, 1), (37, 1), (48, 2), (112, 4)]
"""Of 48 channels 1 and 2 heads are as near to 1.5, of 112 channels 2 is farther from 3.5 than 4."""


@pytest.mark.parametrize(("channels", "heads"), HEADS)
def test_heads_share_the_channels(channels: int, heads: int) -> None:
    assert heads_of(channels) == heads
    assert channels % heads == 0


def test_questions_are_what_stands_before_and_behind() -> None:
    ids = torch.tensor([[5, 6, 7], [8, -1, -1]])
    contexts, targets = questions_of(ids, 2)
    asked = {
        (tuple(context), target)
        for row, answers in zip(contexts.tolist(), targets.tolist(), strict=True)
        for context, target in zip(row, answers, strict=True)
        if target != IGNORE_INDEX
    }
    first = {((-1, -1), 5), ((-1, 5), 6), ((5, 6), 7), ((6, 7), 0)}
    behind = {((5, 6), 0), ((6, 7), 5), ((7, -1), 6), ((-1, -1), 7)}
    second = {((-1, -1), 8), ((-1, 8), 0), ((8, -1), 0)}
    assert asked == first | behind | second


@pytest.mark.parametrize("ids", [[[]], [[], [3, 4]], [[1, 2, 3, 4, 1, 2, 3]]], ids=str)
def test_guidance_is_finite_and_reaches_every_parameter(ids: list[list[int]]) -> None:
    torch.manual_seed(0)
    guidance = SemanticGuidance(8, 5, context=3).train()
    loss = guidance(torch.rand(len(ids), 8, 2, 4), ids)
    assert torch.isfinite(loss)
    loss.backward()
    assert all(value.grad is not None for value in guidance.parameters())


@torch.no_grad()
def test_guidance_does_not_look_at_padding() -> None:
    torch.manual_seed(0)
    guidance = SemanticGuidance(8, 5, context=3).eval()
    line, valid = torch.rand(1, 8, 2, 4), torch.ones(1, 2, 4, dtype=torch.bool)
    valid[..., 3] = False
    before = guidance(line, [[1, 2]], valid)
    line[..., 3] = 9
    torch.testing.assert_close(guidance(line, [[1, 2]], valid), before)
    assert not torch.isclose(guidance(line, [[1, 2]]), before)


@torch.no_grad()
def test_wide_cells_are_averaged_from_finer_ones() -> None:
    line = LineMap((4, 8), (4, 16), width=6, column_px=8, row_px=8, path_px=4)
    maps = [torch.rand(1, 4, 8, 12), torch.rand(1, 8, 2, 3)]
    assert line.stride == 8
    torch.testing.assert_close(line(maps), torch.nn.functional.avg_pool2d(line.path(maps), 2))
    alone = LineMap((4, 8), (4, 8), column_px=8, row_px=8, path_px=4)
    assert list(alone.parameters()) == []
