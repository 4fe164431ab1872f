"""The batch size that is found, and that looking for it leaves no trace."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from toys import toy_datamodule, toy_module, toy_source

from visionkit import autobatch
from visionkit.autobatch import fastest_batch_size
from visionkit.datamodule import Source
from visionkit.datasets.synthetic import Shapes
from visionkit.errors import DataError
from visionkit.module import VisionModule
from visionkit.types import Batch, Sample

CPU = torch.device("cpu")
GIB = 2.0**30


@pytest.fixture
def module() -> VisionModule:
    return toy_module(toy_datamodule(8))


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Batch sizes of the steps that are made; a step takes the same time for any number of images."""
    found: list[int] = []
    step = autobatch._step

    def noted(module: VisionModule, batch: Batch, context: autobatch.Context) -> None:
        found.append(len(batch["key"]))
        step(module, batch, context)

    def timed(work: Callable[[], None], device: torch.device) -> float:
        work()
        return 1.0

    monkeypatch.setattr(autobatch, "_step", noted)
    monkeypatch.setattr(autobatch, "_timed", timed)
    monkeypatch.setattr(autobatch, "total_b", lambda device: math.inf)
    return found


def broken(bad: Callable[[int], bool], on_bad: str, length: int = 9) -> Source:
    class Broken(Shapes):
        def __getitem__(self, index: int) -> Sample:
            if bad(index):
                raise DataError("D15", f"{index}.png", "truncated", "replace it")
            return super().__getitem__(index)

    return Source(partial(Broken, length=length, size=12), batch_size="auto", on_bad=on_bad)  # type: ignore[arg-type]


def test_it_is_a_power_of_two_within_the_data(module: VisionModule) -> None:
    assert fastest_batch_size(module, toy_source(11), CPU) in (2, 4, 8)


@pytest.mark.parametrize(
    ("length", "limit", "expected"), [(11, 512, 8), (8, 512, 8), (7, 512, 4), (1, 512, 2), (64, 16, 16)]
)
def test_it_doubles_while_there_is_a_gain(
    module: VisionModule, sizes: list[int], length: int, limit: int, expected: int
) -> None:
    assert fastest_batch_size(module, toy_source(length), CPU, limit) == expected
    assert sizes == [size for size in (2, 4, 8, 16) if size <= expected for _ in range(2)]


def test_it_stops_where_nothing_is_gained(
    module: VisionModule, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(work: Callable[[], None], device: torch.device) -> float:
        work()
        return float(max(4, sizes[-1]))

    monkeypatch.setattr(autobatch, "_timed", timed)
    assert fastest_batch_size(module, toy_source(64), CPU) == 4


def test_it_stops_before_memory_runs_out(
    module: VisionModule, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autobatch, "peak_b", lambda device: (1 + (sizes[-1] if sizes else 0)) * GIB)
    monkeypatch.setattr(autobatch, "total_b", lambda device: 16 * GIB)  # 8 take 9, 16 would take 17
    assert fastest_batch_size(module, toy_source(64), CPU) == 8


@pytest.mark.parametrize("channels_last", [False, True])
def test_weights_and_statistics_keep_their_bits(module: VisionModule, channels_last: bool) -> None:
    module.channels_last = channels_last
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert any("running_mean" in name for name in before)
    fastest_batch_size(module, toy_source(8), CPU)
    after = module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_the_step_is_that_of_training(module: VisionModule, sizes: list[int]) -> None:
    seen = []
    hook = module.network.encoder.stem[0].register_forward_hook(
        lambda _, inputs, output: seen.append(
            (inputs[0].is_contiguous(memory_format=torch.channels_last), output.dtype)
        )
    )
    fastest_batch_size(module, toy_source(2), CPU)
    module.channels_last = True
    bf16 = partial(torch.autocast, "cpu", torch.bfloat16)
    for context in (nullcontext, bf16):
        fastest_batch_size(module, toy_source(2), CPU, context=context)
    hook.remove()
    assert seen[::2] == seen[1::2] == [(False, torch.float32), (True, torch.float32), (True, torch.bfloat16)]


def test_bad_files_are_left_out_and_the_batch_stays_full(module: VisionModule, sizes: list[int]) -> None:
    source = broken(lambda index: index % 3 == 0, "skip")
    assert fastest_batch_size(module, source, CPU) == 8
    assert sizes == [2, 2, 4, 4, 8, 8]


def test_bad_files_stop_it_where_they_stop_training(module: VisionModule) -> None:
    with pytest.raises(DataError, match=r"D15.*2\.png"):
        fastest_batch_size(module, broken(lambda index: index == 2, "error"), CPU)


def test_nothing_but_bad_files_is_said(module: VisionModule) -> None:
    with pytest.raises(DataError, match="D32"):
        fastest_batch_size(module, broken(lambda index: True, "skip"), CPU)
