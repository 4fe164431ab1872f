import numpy as np
import torch

from visionkit.layers.line_rows import in_line, in_rows, mirrored, mirrored_on_paper, written_cells


def test_rows_are_the_rule_of_the_paper() -> None:
    line = torch.arange(2 * 3 * 64 * 2304).view(2, 3, 64, 2304)
    picture = in_rows(line, 6)
    want = np.concatenate([line.numpy()[..., 384 * row : 384 * (row + 1)] for row in range(6)], axis=2)
    assert picture.shape == (2, 3, 384, 384)
    assert np.array_equal(picture.numpy(), want)
    assert torch.equal(in_line(picture, 6), line)


def test_a_map_of_the_rows_lies_as_the_line() -> None:
    line = torch.rand(1, 1, 8, 48)
    coarse = in_line(torch.nn.functional.avg_pool2d(in_rows(line, 3), 4), 3)
    torch.testing.assert_close(coarse, torch.nn.functional.avg_pool2d(line, 4))


def test_paper_that_goes_on_is_not_counted() -> None:
    line = torch.zeros(3, 1, 2, 16)
    line[1, 0, 1, 5] = 1.0
    line[2, 0, 0, 15] = 1.0
    assert written_cells(line, 4).tolist() == [1, 2, 4]
    assert written_cells(torch.cat([line, line[..., -1:].expand(-1, -1, -1, 8)], 3), 4).tolist() == [1, 2, 4]


def test_each_line_is_mirrored_over_its_own_length() -> None:
    line = torch.arange(5.0).expand(2, 1, 1, 5)
    assert mirrored(line, torch.tensor([3, 5]))[:, 0, 0].tolist() == [[2, 1, 0, 3, 4], [4, 3, 2, 1, 0]]
    assert mirrored_on_paper(line, torch.tensor([3, 5]))[:, 0, 0].tolist() == [[2, 1, 0, 0, 0], [4, 3, 2, 1, 0]]
