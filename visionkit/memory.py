"""Memory in bytes: the most that was in use, and all that there is."""

import ctypes
import gc
import math
import os
import sys
from pathlib import Path

import torch

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""What a container may use, by version 2 and 1 of control groups."""
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """The most memory in use since this was made, so that a process can make several runs.

    On a GPU: of the tensors (``torch.cuda.max_memory_allocated``). On a CPU: the resident set of this process, its
    libraries included and the processes that read data left out. Linux can set its high-water mark (VmHWM) back to
    what is in use now; elsewhere the peak is known only where the process grew beyond all that it ever had.

    On a CPU a run that follows a larger one in the same process shows more than alone (measured: a quarter more),
    because glibc keeps freed blocks in its heap once it has seen large ones. ``earlier`` counts such runs.
    """

    _made = 0

    def __init__(self, device: torch.device) -> None:
        self._device, self.earlier = device, 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._from_b = 0.0
        else:
            self.earlier, PeakMemory._made = PeakMemory._made, PeakMemory._made + 1
            _give_back()
            self._from_b = 0.0 if _restart_mark() else peak_b(device)

    def bytes(self) -> float:
        """The peak so far; nan where unknown."""
        if self._device.type != "cuda" and not self._from_b:
            return _mark_b()
        now_b = peak_b(self._device)
        return now_b if now_b > self._from_b else math.nan


def peak_b(device: torch.device) -> float:
    """The most that was in use so far: by the tensors of a GPU, else by this process; nan where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def total_b(device: torch.device) -> float:
    """All memory of a GPU, else what this process may use of the machine's; nan where unknown."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    try:
        installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows, and systems without these names
        return float("nan")
    return min([installed, *_limits_b()])


def _give_back() -> None:
    """What earlier runs no longer need goes back to the system, so that it does not count for this one."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None  # glibc's alone
    if trim is not None:
        trim(0)


def _restart_mark() -> bool:
    try:
        _RESET.write_text("5")  # proc_pid_clear_refs(5)
        return _mark_b() > 0
    except OSError:
        return False


def _mark_b() -> float:
    """VmHWM: unlike ru_maxrss it never holds the memory of the process that started this one."""
    marks = [line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return float(marks[0]) * 1024 if marks else math.nan


def _limits_b() -> list[int]:
    texts = [path.read_text().strip() for path in _LIMITS if path.is_file()]
    return [int(text) for text in texts if text.isdecimal()]  # "max" is no limit
