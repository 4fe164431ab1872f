"""What a run cost: parameters, time of a step, memory, and on which device; kept in the run folder to be compared."""

import json
import math
import platform
import time
from collections import deque
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.flop_counter import FlopCounterMode

from visionkit.callbacks.throughput import count_images
from visionkit.checkpoint import write_atomically
from visionkit.memory import PeakMemory
from visionkit.runs import COSTS_FILE

_CPU_FACTS = Path("/proc/cpuinfo")
_Mark = float | torch.cuda.Event


class Costs(Callback):
    """Writes ``costs.json`` when training ends; a run that was interrupted has none until it is resumed and ends.

    - ``parameters``, ``trained_parameters``: of the network, and those that the optimizer changes;
    - ``macs``: multiply-accumulates of one image of ``macs_input`` (that of the first batch) through the whole
      network, as torch counts them: convolutions and products of matrices; what a kernel of our own does is missing;
    - ``steps``: optimizer steps of the whole run, ``timed_steps``: those that the next two are taken from;
    - ``step_time_s``: median time from one optimizer step's end to the next, waiting for data included;
    - ``images_per_second``: images of these steps over their time, all processes together;
    - ``peak_memory_b``: see ``visionkit.memory.PeakMemory``, from the start of training to its end, validations
      included, of the first process; ``earlier_runs`` of this process, on a CPU, can make it larger;
    - ``precision``, ``device``, ``processes``.

    Time and memory are those of the process that ended the training. The first steps of an epoch and those around a
    validation or a checkpoint are left out. A GPU notes the ends itself, so that nothing waits for it. What could not
    be measured is null.

    Args:
        warmup: first steps of the process that do not count.
        window: number of the latest steps that count.
    """

    def __init__(self, warmup: int = 5, window: int = 10_000) -> None:
        self.warmup = warmup
        self._laps: deque[tuple[_Mark, _Mark, int]] = deque(maxlen=window)
        self._ended: _Mark | None = None
        self._taken = self._images = self._step = 0
        self._peak: PeakMemory | None = None
        self._input: tuple[int, ...] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew."""
        self._laps.clear()
        self._ended, self._taken, self._images = None, 0, 0
        self._peak = PeakMemory(pl_module.device)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A resumed training goes on from its checkpoint's step."""
        self._step = trainer.global_step

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The time before the first step is no step's."""
        self._ended, self._images = None, 0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The time of a validation is no step's."""
        self._ended = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """The time of a checkpoint is no step's."""
        self._ended = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes the end of an optimizer step."""
        self._images += count_images(batch)
        self._input = self._input or next((tuple(one["image"].shape[1:]) for one in batch.values()), None)
        if trainer.global_step == self._step:  # gradients are being accumulated
            return
        now = _mark(pl_module.device)
        self._taken += 1
        if self._ended is not None and self._taken > self.warmup:
            self._laps.append((self._ended, now, self._images))
        self._ended, self._step, self._images = now, trainer.global_step, 0

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the file. Raises StorageError S04 where the disk refuses it."""
        if trainer.is_global_zero and self._taken and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            content = json.dumps(self.costs(trainer, pl_module), indent=1, ensure_ascii=False)
            write_atomically(Path(trainer.default_root_dir) / COSTS_FILE, f"{content}\n".encode())

    def costs(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, int | float | str | None]:
        """What the file holds."""
        parameters = list(pl_module.network.parameters())  # type: ignore[union-attr]
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        times_s = [_seconds(begin, end) for begin, end, _ in self._laps]
        images = sum(count for *_, count in self._laps) * trainer.world_size
        peak_b = self._peak.bytes() if self._peak else math.nan
        return {
            "parameters": sum(value.numel() for value in parameters),
            "trained_parameters": sum(value.numel() for value in parameters if value.requires_grad),
            "macs": _macs(pl_module.network, self._input) if self._input else None,
            "macs_input": list(self._input) if self._input else None,
            "steps": trainer.global_step,
            "timed_steps": len(times_s),
            "step_time_s": median(times_s) if times_s else None,
            "images_per_second": images / sum(times_s) if sum(times_s) > 0 else None,
            "peak_memory_b": None if math.isnan(peak_b) else int(peak_b),
            "earlier_runs": self._peak.earlier if self._peak else 0,
            "precision": str(trainer.precision),
            "device": device_name(pl_module.device),
            "processes": trainer.world_size,
        }


def device_name(device: torch.device) -> str:
    """``NVIDIA H100 80GB HBM3``, or a processor with the threads that torch uses of it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    lines = _CPU_FACTS.read_text().splitlines() if _CPU_FACTS.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{(models or [platform.processor() or platform.machine()])[0]}, {torch.get_num_threads()} threads"


@torch.no_grad()
def _macs(network: Any, size: tuple[int, ...]) -> int:
    """Of one image; the network stays as it is."""
    training = network.training
    device = next((value.device for value in network.parameters()), torch.device("cpu"))
    image = torch.zeros(1, *size, device=device)
    with FlopCounterMode(display=False) as counter, torch.compiler.set_stance("force_eager"):
        network.eval()(image)
    network.train(training)
    return counter.get_total_flops() // 2


def _mark(device: torch.device) -> _Mark:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event


def _seconds(begin: _Mark, end: _Mark) -> float:
    if isinstance(begin, float) and isinstance(end, float):
        return end - begin
    return begin.elapsed_time(end) / 1000  # type: ignore[union-attr,arg-type]
