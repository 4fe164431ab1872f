import pytest
import torch

from visionkit.layers.patches import PatchExpand, PatchMerging


def test_merging_gathers_neighbours_columns_fastest() -> None:
    merging, seen = PatchMerging(1, 2, (2, 2)), []
    merging.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    assert merging(torch.arange(16.0).view(1, 4, 4, 1)).shape == (1, 2, 2, 2)
    assert seen[0][0].tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7]], [[8, 9, 12, 13], [10, 11, 14, 15]]]


@pytest.mark.parametrize("space", [(3, 4, 5), (1, 1, 1), (5, 2, 2)])
def test_odd_axes_are_padded_with_zeros(space: tuple[int, ...]) -> None:
    merging = PatchMerging(3, 6, (2, 2, 2))
    tokens = torch.randn(2, *space, 3)
    even = torch.zeros(2, *(n + n % 2 for n in space), 3)
    even[:, : space[0], : space[1], : space[2]] = tokens
    assert merging(tokens).shape == (2, *(-(-n // 2) for n in space), 6)
    torch.testing.assert_close(merging(tokens), merging(even))


@pytest.mark.parametrize("ratio", [(2, 2), (1, 3), (2, 4, 4)])
def test_expansion_is_a_transposed_convolution_and_a_norm(ratio: tuple[int, ...]) -> None:
    expand, dims = PatchExpand(5, 4, ratio), len(ratio)
    tokens = torch.randn(2, *(3, 2, 1)[:dims], 5)
    kernel = expand.expand.weight.view(*ratio, 4, 5).permute(dims + 1, dims, *range(dims))
    convolution = {2: torch.nn.functional.conv_transpose2d, 3: torch.nn.functional.conv_transpose3d}[dims]
    expected = expand.norm(convolution(tokens.movedim(-1, 1), kernel, stride=ratio).movedim(1, -1))
    torch.testing.assert_close(expand(tokens), expected, atol=1e-5, rtol=1e-5)
