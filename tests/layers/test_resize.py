import pytest

from visionkit.layers.resize import nearest_index


@pytest.mark.parametrize("before", [1, 2, 3, 7, 480])
@pytest.mark.parametrize("after", [1, 2, 5, 7, 361])
def test_the_cell_under_the_centre(before: int, after: int) -> None:
    # The centre (i + 1/2) * before / after in whole numbers, so that no rounding decides.
    assert nearest_index(before, after).tolist() == [(2 * i + 1) * before // (2 * after) for i in range(after)]


def test_the_same_size_and_no_size() -> None:
    assert nearest_index(4, 4).tolist() == [0, 1, 2, 3]
    assert nearest_index(4, 0).tolist() == []
