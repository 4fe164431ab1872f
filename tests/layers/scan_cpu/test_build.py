"""The kernel is compiled once, by one process, and its absence is said once."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from visionkit.layers.scan import selective_scan
from visionkit.layers.scan_cpu import build

CODE = "import sys, pathlib; from visionkit.layers.scan_cpu import build; build.load(pathlib.Path(sys.argv[1]))"
needs_kernel = pytest.mark.skipif(build.library() is None, reason="no C++ compiler")


@needs_kernel
def test_processes_at_once_make_one_library_and_leave_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "lock").touch()  # as a process leaves it that is killed while it compiles
    workers = [subprocess.Popen([sys.executable, "-c", CODE, str(tmp_path)]) for _ in range(2)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    assert {path.name for path in tmp_path.iterdir()} <= {"kernel.so", "lock"}
    made = (tmp_path / "kernel.so").stat().st_mtime_ns
    build.load(tmp_path)
    assert (tmp_path / "kernel.so").stat().st_mtime_ns == made


def test_another_cpu_source_or_torch_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    other = tmp_path / "kernel.cpp"
    other.write_text("// another source")
    folders = {build._folder()}
    for target, name, value in (
        (build, "_cpu", lambda: "flags: none"),
        (build, "SOURCE", other),
        (torch, "__version__", "0"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            folders.add(build._folder())
    assert len(folders) == 4
    assert {folder.parent for folder in folders} == {tmp_path}


def test_without_a_compiler_it_runs_in_torch_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setenv("CXX", str(tmp_path / "no_such_compiler"))
    build.library.cache_clear()
    try:
        with caplog.at_level(logging.INFO):
            ones = [torch.ones(1, 3, 1), torch.ones(1, 3, 1), -torch.ones(1, 1), *torch.ones(2, 1, 3, 1, 1)]
            first, second = selective_scan(*ones), selective_scan(*ones)
        assert build.library() is None
        assert torch.equal(first, second)
    finally:
        build.library.cache_clear()
    (record,) = caplog.records
    assert "plain PyTorch" in record.message
    assert "\n" not in record.message
