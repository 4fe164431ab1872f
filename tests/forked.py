"""A process of its own that has the libraries imported already, for tests that need several.

A server without threads imports them once and is forked for each process, which saves the seconds that a start of
Python takes with them.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

TRAIN = Path(__file__).parents[1] / "train.py"
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["visionkit.procedures", "albumentations", "timm", "wandb"])
START_METHOD = _CONTEXT.get_start_method()
"""For ``torch.multiprocessing.start_processes``."""


@dataclass(frozen=True)
class Ended:
    """What a command left behind, named as ``subprocess`` does."""

    returncode: int | None
    stdout: str
    stderr: str


def start_training(folder: Path, words: list[str], output: Path) -> BaseProcess:
    """``python train.py`` with these words in ``folder``; what it prints goes to ``output``/stdout and /stderr."""
    return _started(_train, output, os.environ, str(folder), words)


def start_program(code: str, output: Path) -> BaseProcess:
    """``python -c`` with this code."""
    return _started(exec, output, os.environ, code, {})


def train(folder: Path, *words: str) -> Ended:
    """``start_training``, until it ends."""
    return _ended(_train, os.environ, str(folder), list(words))


def program(code: str, environment: Mapping[str, str] = os.environ) -> Ended:
    """``start_program``, until it ends."""
    return _ended(exec, environment, code, {})


def _ended(target: Callable[..., None], environment: Mapping[str, str], *arguments: Any) -> Ended:
    with tempfile.TemporaryDirectory() as output:
        process = _started(target, Path(output), environment, *arguments)
        process.join()
        stdout, stderr = ((Path(output) / name).read_text() for name in ("stdout", "stderr"))
    return Ended(process.exitcode, stdout, stderr)


def _started(target: Callable[..., None], output: Path, environment: Mapping[str, str], *arguments: Any) -> BaseProcess:
    process = _CONTEXT.Process(target=_within, args=(str(output), dict(environment), target, *arguments))
    process.start()
    return process


def _within(output: str, environment: Mapping[str, str], target: Callable[..., None], *arguments: Any) -> None:
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(output) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    multiprocessing.set_start_method(None, force=True)  # of its own processes what a command of its own has
    import torch

    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    target(*arguments)


def _train(folder: str, words: list[str]) -> None:
    os.chdir(folder)
    sys.argv = [str(TRAIN), *words]
    runpy.run_path(str(TRAIN), run_name="__main__")
