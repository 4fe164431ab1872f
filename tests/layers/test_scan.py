"""Every way to scan against autograd over the written recurrence in float64."""

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from visionkit.errors import ConfigError
from visionkit.layers import scan
from visionkit.layers.scan import selective_scan
from visionkit.layers.scan_cpu.build import library
from visionkit.layers.scan_torch import TwoLevel, exported_scan, reference_scan

needs_kernel = pytest.mark.skipif(library() is None, reason="no C++ compiler")
WAYS = ["torch", pytest.param("cpu", marks=needs_kernel)]


def inputs(
    length: int, channels: int = 6, groups: int = 2, states: int = 3, batch: int = 2, dtype=torch.float32
) -> list[Tensor]:
    draw = torch.Generator().manual_seed(length)
    u, z = torch.randn(2, batch, length, channels, generator=draw, dtype=torch.float64)
    B, C = torch.randn(2, batch, length, groups, states, generator=draw, dtype=torch.float64)
    A = -torch.rand(channels, states, generator=draw, dtype=torch.float64) * 16
    D = torch.randn(channels, generator=draw, dtype=torch.float64)
    return [x.to(dtype).clone().requires_grad_() for x in (u, F.softplus(z - 2), A, B, C, D)]


def results(function, tensors: list[Tensor]) -> list[Tensor]:
    y = function(*tensors)
    weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, tensors, weights)]


def assert_as_exact(found: list[Tensor], tensors: list[Tensor]) -> None:
    exact = results(lambda u, *rest: reference_scan(u, *rest[:-1]) + rest[-1] * u, [x.double() for x in tensors])
    torch.testing.assert_close(found[0].double(), exact[0], atol=1e-5, rtol=1e-5)
    for got, want in zip(found[1:], exact[1:], strict=True):
        torch.testing.assert_close(got.double(), want, atol=1e-4, rtol=1e-4)


def test_the_reference_is_the_recurrence_by_hand() -> None:
    u, delta, A, B, C = (
        torch.tensor(x)
        for x in ([[[2.0], [1.0]]], [[[1.0], [0.5]]], [[-1.0]], [[[[3.0]], [[4.0]]]], [[[[1.0]], [[2.0]]]])
    )
    first = 1.0 * 2 * 3
    second = torch.exp(torch.tensor(-0.5)).item() * first + 0.5 * 1 * 4
    torch.testing.assert_close(reference_scan(u, delta, A, B, C), torch.tensor([[[first], [2 * second]]]))


@pytest.mark.parametrize("way", ["reference", *WAYS])
@pytest.mark.parametrize("length", [1, 2, 3, 31, 32, 33, 65, 100])
def test_outputs_and_gradients_are_those_of_the_reference(way: str, length: int, monkeypatch) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", way)
    tensors = inputs(length)
    assert_as_exact(results(selective_scan, tensors), tensors)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("channels", "groups", "states"), [(1, 1, 1), (40, 1, 16), (34, 2, 1), (16, 4, 5)])
def test_any_number_of_channels_groups_and_states(
    way: str, channels: int, groups: int, states: int, monkeypatch
) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", way)
    tensors = inputs(37, channels, groups, states)
    assert_as_exact(results(selective_scan, tensors), tensors)


def test_the_torch_way_is_exact_in_float64() -> None:
    tensors = inputs(11, dtype=torch.float64)
    torch.autograd.gradcheck(selective_scan, tensors)
    assert selective_scan(*tensors).dtype == torch.float64


@pytest.mark.parametrize("way", WAYS)
def test_fast_decay_neither_overflows_nor_loses_the_present(way: str, monkeypatch) -> None:
    """``exp(sum(delta * A))`` is 0 after a few steps here; its inverse would be infinite."""
    monkeypatch.setenv("VISIONKIT_SCAN", way)
    tensors = inputs(50)
    tensors[1] = torch.full_like(tensors[1], 30.0).requires_grad_()
    assert_as_exact(results(selective_scan, tensors), tensors)


@pytest.mark.parametrize("way", WAYS)
def test_the_future_does_not_reach_the_past(way: str, monkeypatch) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", way)
    tensors = inputs(40)
    (grad,) = torch.autograd.grad(selective_scan(*tensors)[:, 20].sum(), tensors[0])
    assert grad[:, 21:].abs().max() == 0
    assert grad[:, :21].abs().min() > 0


@pytest.mark.parametrize("way", WAYS)
def test_nothing_comes_of_nothing(way: str, monkeypatch) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", way)
    for tensors in (inputs(0), inputs(5, batch=0)):
        found = results(selective_scan, tensors)
        assert found[0].shape == tensors[0].shape
        assert all(grad.abs().sum() == 0 for grad in found[1:])


@pytest.mark.parametrize("way", WAYS)
def test_not_a_number_is_not_hidden(way: str, monkeypatch) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", way)
    tensors = [x.detach() for x in inputs(9)]
    tensors[1][0, 4, 0] = torch.nan
    y = selective_scan(*tensors)
    assert y[0, 4:, 0].isnan().all()
    assert y[0, :4].isfinite().all()
    assert y[1].isfinite().all()


@pytest.mark.parametrize("way", WAYS)
def test_runs_and_numbers_of_threads_agree_to_the_bit(way: str, monkeypatch) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", way)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            found.append(results(selective_scan, inputs(70, 50, 1, 4)))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_autocast_changes_nothing_inside(way: str, monkeypatch) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", way)
    tensors = [x.detach().bfloat16().requires_grad_() for x in inputs(33)]
    with torch.autocast("cpu", torch.bfloat16):
        y = selective_scan(*tensors)
    want = selective_scan(*(x.float() for x in tensors))
    assert y.dtype == torch.float32
    assert torch.equal(y, want)
    y.sum().backward()
    assert all(x.grad is not None and x.grad.dtype == torch.bfloat16 for x in tensors)


@pytest.mark.parametrize("way", WAYS)
def test_only_the_inputs_are_kept_for_backward(way: str, monkeypatch) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", way)

    def kept(length: int) -> int:
        numbers = {}
        tensors = inputs(length, channels=8, groups=1, states=16)[:5]

        def note(tensor: Tensor) -> Tensor:
            numbers[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // 4
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            y = selective_scan(*tensors)
        assert y.requires_grad
        return sum(numbers.values())

    rates = 8 * 16
    assert kept(50) == 2 * 50 * (8 + 8 + 16 + 16) + rates
    assert kept(400) - rates == 8 * (kept(50) - rates)


class Largest(TorchDispatchMode):
    """Notes the number of values of the largest tensor that any operation makes."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = [x.numel() for x in torch.utils._pytree.tree_leaves(out) if isinstance(x, Tensor)]
        self.values = max(self.values, *made, 0)
        return out


def test_the_torch_way_makes_no_tensor_of_every_step_channel_and_state() -> None:
    tensors = [x.detach() for x in inputs(400, channels=8, groups=1, states=16)[:5]]
    with Largest() as largest:
        scanned = TwoLevel(*tensors)
        scanned.backward(scanned.forward())
    assert largest.values == 2 * 400 * 16  # B and C; the states of every step would be eight times as many


def test_the_exported_form_is_the_recurrence() -> None:
    tensors = [x.detach() for x in inputs(23)[:5]]
    torch.testing.assert_close(exported_scan(*tensors), reference_scan(*tensors))


class Scan(nn.Module):
    def forward(self, *tensors: Tensor) -> Tensor:
        return selective_scan(*tensors)


def test_exporting_leaves_no_operation_of_ours() -> None:
    program = torch.export.export(Scan(), tuple(x.detach() for x in inputs(4)))
    graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    called = [str(node.target) for graph in graphs for node in graph.nodes]
    assert any(name.startswith("aten.") for name in called)
    assert not [name for name in called if "visionkit" in name]


def test_it_is_counted_without_data() -> None:
    tensors = [x.detach().to("meta") for x in inputs(10, 6, 2, 3)]
    with FlopCounterMode(display=False) as counter:
        assert selective_scan(*tensors).shape == (2, 10, 6)
    assert counter.get_total_flops() == 2 * (2 * 10 * 6) * (9 * 3 + 1)


@needs_kernel
def test_the_operation_is_what_torch_expects_of_one(monkeypatch) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", "cpu")
    torch.library.opcheck(torch.ops.visionkit.selective_scan.default, tuple(inputs(5)[:5]))


def test_mamba_ssm_gets_its_own_layout(monkeypatch) -> None:
    """A stand-in with the signature and shapes of its documentation: time last, groups before states."""

    def selective_scan_fn(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        assert u.shape == (2, 6, 7)
        assert B.shape == (2, 2, 3, 7)
        return reference_scan(*(x.movedim(-1, 1) for x in (u, delta)), A, *(x.movedim(-1, 1) for x in (B, C))).mT

    module = ModuleType("mamba_ssm.ops.selective_scan_interface")
    module.selective_scan_fn = selective_scan_fn  # type: ignore[attr-defined]
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    scan._mamba_ssm.cache_clear()
    try:
        tensors = inputs(7)[:5]
        torch.testing.assert_close(scan._mamba_scan(*tensors), reference_scan(*tensors))
    finally:
        scan._mamba_ssm.cache_clear()


def test_an_unknown_way_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", "cpp")
    with pytest.raises(ConfigError, match=r"C72.*VISIONKIT_SCAN=cpp.*cpu"):
        selective_scan(*inputs(2))


def test_what_is_forced_and_cannot_be_done_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("VISIONKIT_SCAN", "cpu")
    with pytest.raises(ConfigError, match=r"C74.*float64"):
        selective_scan(*inputs(2, dtype=torch.float64))
    monkeypatch.setattr(scan, "library", lambda: None)
    with pytest.raises(ConfigError, match=r"C73.*compiler"):
        selective_scan(*inputs(2))
