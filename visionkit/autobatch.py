"""dataset.batch_size=auto: the batch size that trains the most images a second and fits into memory."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import cycle, islice

import torch

from visionkit.datamodule import Source
from visionkit.datasets.collate import collate, to_device
from visionkit.memory import peak_b, total_b
from visionkit.module import VisionModule
from visionkit.types import Batch, Sample

Context = Callable[[], AbstractContextManager]

_WORTH = 1.05
"""A doubled batch must be this much faster to be taken."""
_SHARE = 0.8
"""Of the memory there is, which the next doubling may be expected to take."""


def fastest_batch_size(
    module: VisionModule, source: Source, device: torch.device, limit: int = 512, context: Context = nullcontext
) -> int:
    """Doubles the batch from 2 until memory or the gain runs out; weights and statistics stay as they are.

    ``context`` is what training wraps its forward pass in, such as autocast. Raises DataError for a file that
    cannot be used unless the source skips it, and D32 where none can.
    """
    examples = source.examples("train", module.seed)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    module.to(device).train()
    samples: list[Sample] = []
    unread = examples.usable()

    def images_per_s(size: int) -> float:
        samples.extend(islice(unread, size - len(samples)))
        batch = to_device(collate(list(islice(cycle(samples), size))), device)
        times_s = [_timed(lambda: _step(module, batch, context), device) for _ in range(2)]
        return size / min(times_s)

    best, rate, before_b = 1, 0.0, peak_b(device)
    for size in (2**power for power in range(1, min(limit, max(2, len(examples))).bit_length())):
        try:
            found = images_per_s(size)
        except torch.OutOfMemoryError:
            break
        if found < _WORTH * rate:
            break
        best, rate = size, found
        if before_b + 2 * (peak_b(device) - before_b) > _SHARE * total_b(device):
            break  # on the CPU nothing raises when memory runs out: the system would end the process
    module.zero_grad(set_to_none=True)
    module.load_state_dict(state)
    module.cpu()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return best


def _step(module: VisionModule, batch: Batch, context: Context) -> None:
    module.zero_grad(set_to_none=True)
    with context():
        terms = module.network.loss(module._laid_out(batch), gate=module.balance.gate)
        total, _ = module.balance(terms, module.shared)
    total.backward()


def _timed(work: Callable[[], None], device: torch.device) -> float:
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin
