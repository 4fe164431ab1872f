"""Memory in bytes: the most that was in use, and all that there is."""

import os
import sys
from pathlib import Path

import torch

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""What a container may use, by version 2 and 1 of control groups."""


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


def _limits_b() -> list[int]:
    texts = [path.read_text().strip() for path in _LIMITS if path.is_file()]
    return [int(text) for text in texts if text.isdecimal()]  # "max" is no limit
