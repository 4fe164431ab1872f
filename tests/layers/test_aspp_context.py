"""Context of CAN and ASPP against their formulas."""

import pytest
import torch
from torch.nn import functional as F

from visionkit.layers.aspp import ASPP
from visionkit.layers.context import Context


@pytest.mark.parametrize("size", [(12, 12), (7, 5), (1, 1), (2, 9)])
def test_context_is_the_weighted_mean_of_the_scales(size):
    torch.manual_seed(0)
    module, x = Context(4, 6).double(), torch.rand(2, 4, *size, dtype=torch.float64)
    around = [
        F.interpolate(conv(F.adaptive_avg_pool2d(x, n)), size=size, mode="bilinear")
        for n, conv in zip((1, 2, 3, 6), module.scales, strict=True)
    ]
    weights = [1 / (1 + torch.exp(-module.weight(x - s))) for s in around]
    fused = sum(w * s for w, s in zip(weights, around, strict=True)) / sum(weights)
    torch.testing.assert_close(module(x), module.mix(torch.cat([fused, x], 1)).clamp(min=0))


def test_context_of_a_constant_map_is_the_same_everywhere():
    out = Context(3, 5)(torch.ones(1, 3, 1, 1).expand(1, 3, 9, 7))
    torch.testing.assert_close(out, out[..., :1, :1].expand_as(out))


@pytest.mark.parametrize("norm", [True, False])
def test_aspp_reaches_as_far_as_its_largest_dilation(norm):
    torch.manual_seed(0)
    module = ASPP(2, 3, (2, 4), norm=norm).eval()
    x = torch.rand(1, 2, 21, 21, requires_grad=True)
    assert module(x).shape == (1, 3, 21, 21)
    assert len([p for p in module.parameters() if p.ndim == 4]) == 1 + 2 + 1 + 1
    near = sum(branch(x)[..., 10, 10].sum() for branch in (module.near, *module.far))
    (gradient,) = torch.autograd.grad(near, x)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    assert (rows.min().item(), rows.max().item()) == (6, 14)


def test_aspp_learns_from_a_single_picture():
    module = ASPP(2, 3, dropout=0.0).train()
    module(torch.rand(1, 2, 4, 4)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
