import math
import os
from pathlib import Path

import pytest
import torch

from visionkit import memory

CPU = torch.device("cpu")


def test_the_peak_grows_with_what_is_taken() -> None:
    before = memory.peak_b(CPU)
    assert 0.05 * 2**30 < before < memory.total_b(CPU)
    taken = torch.ones(int(before) // 4 + 2**26)  # more bytes than ever before
    assert memory.peak_b(CPU) > before + 2**26
    del taken


@pytest.mark.parametrize(
    ("texts", "expected"),
    [(("1048576\n",), 2**20), (("max\n",), None), ((), None), (("max", "4096"), 4096), ((str(2**62),), None)],
)
def test_the_limit_of_a_container_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: tuple[str, ...], expected: int | None
) -> None:
    files = [tmp_path / str(number) for number in range(2)]
    for file, text in zip(files, texts, strict=False):
        file.write_text(text)
    monkeypatch.setattr(memory, "_LIMITS", files)
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory.total_b(CPU) == (installed if expected is None else expected)


def test_a_system_that_does_not_say_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert memory.total_b(CPU) != memory.total_b(CPU)
    monkeypatch.setitem(__import__("sys").modules, "resource", None)
    assert memory.peak_b(CPU) != memory.peak_b(CPU)


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux can set the mark back")
def test_the_peak_of_a_run_does_not_hold_that_of_an_earlier_one() -> None:
    torch.ones(2**27)  # 512 MiB, given back at once
    peak = memory.PeakMemory(CPU)
    before = peak.bytes()
    torch.ones(2**25)
    assert before + 120 * 2**20 < peak.bytes() < before + 200 * 2**20  # 128 MiB and a little


def test_where_the_mark_cannot_be_set_back_only_growth_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_RESET", tmp_path / "missing" / "clear_refs")
    peaks = iter([5e8, 5e8, 6e8])
    monkeypatch.setattr(memory, "peak_b", lambda device: next(peaks))
    peak = memory.PeakMemory(CPU)
    assert math.isnan(peak.bytes())
    assert peak.bytes() == 6e8
