"""Compiles the kernel on first use and keeps it: one library for each source, version of torch and kind of CPU."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock

SOURCE = Path(__file__).with_name("kernel.cpp")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math")
"""Without ``-ffast-math``: it would lose NaN, which the guard against non-finite losses must see."""
_NAME = "visionkit_scan"
_log = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernel; None, after one line in the log, where it cannot be had."""
    try:
        return load(_folder())
    except Exception as error:  # compiler, linker, file system and loader each raise their own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        _log.warning("the selective scan runs in plain PyTorch, its C++ kernel cannot be built: %s", reason)
        return None


def load(folder: Path) -> ctypes.CDLL:
    """The kernel from ``folder``, compiled into it where it is missing; other processes wait meanwhile."""
    file = folder / "kernel.so"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not file.exists():
            _compile(folder / "build").replace(file)
            shutil.rmtree(folder / "build", ignore_errors=True)
    return ctypes.CDLL(str(file))


def _compile(folder: Path) -> Path:
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses CUDA aloud
    from torch.utils import cpp_extension

    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed; torch would wait for it for ever
    folder.mkdir()
    with _ninja_on_path():
        built = cpp_extension.load(
            _NAME,
            [str(SOURCE)],
            extra_cflags=list(FLAGS),
            extra_ldflags=["-fopenmp"],
            build_directory=str(folder),
            is_python_module=False,
        )
    return Path(built)


def _folder() -> Path:
    """In torch's folder of extensions, which TORCH_EXTENSIONS_DIR moves."""
    parts = (SOURCE.read_text(), *FLAGS, torch.__version__, platform.platform(), _cpu())
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torch_extensions"
    return Path(os.environ.get("TORCH_EXTENSIONS_DIR") or default) / f"{_NAME}_{key}"


def _cpu() -> str:
    """What ``-march=native`` depends on: a home folder may be shared by machines with different instructions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    kinds = {line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}
    return "\n".join(sorted(kinds)) or f"{platform.processor()} {torch.backends.cpu.get_cpu_capability()}"


@contextmanager
def _ninja_on_path() -> Iterator[None]:
    """The ninja that came with the package, where the environment's programs are not on the path."""
    import ninja

    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join((ninja.BIN_DIR, before))
    try:
        yield
    finally:
        os.environ["PATH"] = before
