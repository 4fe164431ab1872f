import math

import pytest
import torch
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.inference import MultiScale, SlidingWindow

SPACES = [(8, 8), (13, 7), (29, 31), (1, 5), (9, 10, 11), (3, 17, 4)]


def image(*space: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, *space, generator=torch.Generator().manual_seed(0))


def pointwise(view: torch.Tensor) -> torch.Tensor:
    """Linear, the same at every pixel, with more channels out than in."""
    matrix = torch.tensor([[1.0, 2, 3], [0, -1, 1], [2, 2, 2], [0.5, 0, 0]])
    return torch.einsum("kc,bc...->bk...", matrix, view) + 1


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("weighting", ["gaussian", "uniform"])
def test_windows_of_a_pointwise_function_give_that_function(space, size, overlap, weighting) -> None:
    view = image(*space)
    inference = SlidingWindow(size, overlap, batch_size=64, weighting=weighting)
    torch.testing.assert_close(inference(pointwise, view), pointwise(view))


@pytest.mark.parametrize("size", [(29, 31), (512, 512), 64])
def test_one_window_is_exactly_the_plain_output(size) -> None:
    def noisy(view: torch.Tensor) -> torch.Tensor:
        return F.conv2d(view, torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1)), padding=1)

    view = image(29, 31)
    assert torch.equal(SlidingWindow(size)(noisy, view), noisy(view))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_windows_have_the_asked_size_overlap_and_number(batch_size) -> None:
    shapes = []

    def record(view: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(view.shape))
        return pointwise(view)

    SlidingWindow([6, 4], overlap=0.5, batch_size=batch_size)(record, image(20, 3, batch=1))
    assert sum(shape[0] for shape in shapes) == 6  # 20 pixels by windows of 6, at most 3 apart; 1 across
    assert max(shape[0] for shape in shapes) == min(batch_size, 6)
    assert {shape[1:] for shape in shapes} == {(3, 6, 3)}


def test_gaussian_trusts_the_middle_of_a_window_more() -> None:
    def distance_from_middle(view: torch.Tensor) -> torch.Tensor:
        ramp = (torch.arange(view.shape[-1]) - (view.shape[-1] - 1) / 2).abs()
        return ramp.expand(view.shape[0], 1, *view.shape[2:])

    view = image(8, 40)
    gaussian = SlidingWindow(8, weighting="gaussian")(distance_from_middle, view)
    uniform = SlidingWindow(8, weighting="uniform")(distance_from_middle, view)
    assert gaussian.mean() < uniform.mean() - 0.3


def test_windows_of_a_batch_are_windows_of_each_image() -> None:
    def by_mean(view: torch.Tensor) -> torch.Tensor:
        return view - view.mean((1, 2, 3), keepdim=True)

    view, inference = image(13, 17, batch=3), SlidingWindow(6, batch_size=5)
    alone = torch.cat([inference(by_mean, view[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(inference(by_mean, view), alone)


@pytest.mark.parametrize("inference", [SlidingWindow(4), MultiScale()])
def test_half_precision_is_averaged_in_float32(inference) -> None:
    output = inference(lambda view: view.bfloat16(), image(9, 9))
    assert output.dtype == torch.float32


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("inner", [None, SlidingWindow(6)])
def test_scales_keep_a_constant(space, inner) -> None:
    def constant(view: torch.Tensor) -> torch.Tensor:
        return torch.full((view.shape[0], 2, *view.shape[2:]), 3.5)

    output = MultiScale([0.5, 1.0, 1.7], inner=inner)(constant, image(*space))
    torch.testing.assert_close(output, torch.full((2, 2, *space), 3.5))


@pytest.mark.parametrize("space", SPACES)
def test_one_scale_without_flip_is_the_plain_output(space) -> None:
    view = image(*space)
    assert torch.equal(MultiScale([1.0], flip=False)(pointwise, view), pointwise(view))


def test_flip_averages_the_mirror_image() -> None:
    def lopsided(view: torch.Tensor) -> torch.Tensor:
        return view * torch.arange(view.shape[-1])

    view = image(4, 6)
    torch.testing.assert_close(MultiScale([1.0])(lopsided, view), view * 2.5)
    torch.testing.assert_close(MultiScale([1.0])(pointwise, view), pointwise(view))


def test_flip_and_scales_are_symmetric() -> None:
    def model(view: torch.Tensor) -> torch.Tensor:
        return F.conv2d(view, torch.randn(2, 3, 3, 3, generator=torch.Generator().manual_seed(1)), padding=1)

    view, inference = image(12, 15), MultiScale([0.5, 1.0, 2.0])
    torch.testing.assert_close(inference(model, view.flip(-1)), inference(model, view).flip(-1))


def test_scales_see_resized_images() -> None:
    seen = []

    def record(view: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(view.shape[2:]))
        return view

    MultiScale([0.5, 1.0, 1.5, 0.01], flip=False)(record, image(10, 21))
    assert seen == [(5, 10), (10, 21), (15, 32), (1, 1)]


def test_bytes_are_scaled_before_they_are_resized() -> None:
    view = torch.randint(256, (1, 3, 9, 9), dtype=torch.uint8)
    expected = MultiScale([0.5, 1.0])(lambda view: view, view.float() / 255)
    torch.testing.assert_close(MultiScale([0.5, 1.0])(lambda view: view, view), expected)
    windows = SlidingWindow(4)(lambda view: view.float() / 255, view)
    torch.testing.assert_close(windows, view.float() / 255)


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: SlidingWindow(0), "inference.size"),
        (lambda: SlidingWindow([]), "inference.size"),
        (lambda: SlidingWindow([4, 4])(pointwise, image(5, 5, 5)), "inference.size"),
        (lambda: SlidingWindow(4, overlap=1.0), "inference.overlap"),
        (lambda: SlidingWindow(4, batch_size=0), "inference.batch_size"),
        (lambda: SlidingWindow(4, weighting="gausian"), "did you mean gaussian"),
        (lambda: MultiScale([]), "inference.scales"),
        (lambda: MultiScale([1.0, 0.0]), "inference.scales"),
    ],
)
def test_senseless_values_are_named(make, place) -> None:
    with pytest.raises(ConfigError, match=f"C44.*{place}"):
        make()


@pytest.mark.parametrize("space", [(29, 31), (40, 7, 9), (23, 12, 17), (5, 5, 5)])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.8])
def test_slabs_together_are_the_whole_and_none_comes_late(space, batch_size, overlap) -> None:
    """Against an average over windows written here, which keeps the whole output."""
    view, size = image(*space), 8
    inference = SlidingWindow(size, overlap, batch_size=batch_size)
    kernel = torch.randn(4, 3, *[3] * len(space), generator=torch.Generator().manual_seed(1))
    conv = {2: F.conv2d, 3: F.conv3d}[len(space)]
    slabs = list(inference.stream(lambda x: conv(x, kernel, padding=1), view))
    output, total = torch.zeros(2, 4, *space, dtype=torch.float64), torch.zeros(space, dtype=torch.float64)
    for place, weights in inference._windows(space):
        weight = torch.ones((), dtype=torch.float64)
        for axis in weights:
            weight = weight[..., None] * axis
        output[(..., *place)] += conv(view[(..., *place)], kernel, padding=1) * weight
        total[place] += weight
    torch.testing.assert_close(total, torch.ones_like(total))
    torch.testing.assert_close(torch.cat(slabs, 2), output.float(), atol=1e-5, rtol=1e-5)
    assert torch.equal(torch.cat(slabs, 2), inference(lambda x: conv(x, kernel, padding=1), view))
    if batch_size == 1:
        assert max(slab.shape[2] for slab in slabs) <= size


@pytest.mark.parametrize("space", [(5, 9), (12, 3), (20, 20), (1, 7, 12)])
def test_padding_brings_every_window_to_its_size(space) -> None:
    seen, view = [], image(*space)

    def dense(x):
        seen.append(tuple(x.shape[2:]))
        return x + x.mean(dim=tuple(range(1, x.ndim)), keepdim=True)  # looks at the whole window

    output = SlidingWindow(8, overlap=0, weighting="uniform", pad=True)(dense, view)
    assert output.shape == view.shape
    assert set(seen) == {(8,) * len(space)}
    if max(space) <= 8:
        share = math.prod(space) / 8 ** len(space)
        mean = view.mean(dim=tuple(range(1, view.ndim)), keepdim=True)
        torch.testing.assert_close(output, view + mean * share)


def test_a_whole_image_is_one_whose_every_copy_passes_at_once() -> None:
    assert MultiScale((0.5, 2.0)).covers((999, 999))
    assert MultiScale((0.5,), inner=SlidingWindow(10)).covers((10, 10))
    assert not MultiScale((0.5,), inner=SlidingWindow(10)).covers((20, 20))  # the loss needs it as it is
    assert not MultiScale((1.0, 2.0), inner=SlidingWindow(10)).covers((10, 10))
