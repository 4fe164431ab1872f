"""Which points lie in a picture, and on which cell of a grid."""

import torch

from visionkit.layers.points import cells_of, inside


def test_the_borders_belong_to_the_picture():
    points = torch.tensor([[0.0, 0.0], [6.0, 4.0], [6.1, 2.0], [2.0, 4.1], [-0.1, 1.0], [float("nan"), 1.0]])
    assert inside(points, (4, 6)).tolist() == [True, True, False, False, False, False]
    assert inside(torch.zeros(0, 2), (4, 6)).shape == (0,)


def test_cells_are_row_and_column_and_the_last_border_is_in_the_last_cell():
    points = torch.tensor([[0.0, 0.0], [5.99, 3.99], [6.0, 4.0], [3.0, 1.9], [0.5, 3.5]])
    assert cells_of(points, (4, 6), (4, 6)).tolist() == [[0, 0], [3, 5], [3, 5], [1, 3], [3, 0]]
    assert cells_of(points, (4, 6), (2, 2)).tolist() == [[0, 0], [1, 1], [1, 1], [0, 1], [1, 0]]
    assert cells_of(torch.zeros(0, 2), (4, 6), (2, 2)).shape == (0, 2)
