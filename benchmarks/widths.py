"""Training on lines of many widths: as they are with the kernels that oneDNN keeps by itself, with as many as visionkit
asks for, and padded to a multiple of 64 pixels as training batches are (dataset.group_px).

    python benchmarks/widths.py [rounds]

oneDNN compiles kernels for every shape that it meets and keeps some for the next time. The steps are those of
experiment=handwriting/crnn_iam in bf16: 16 lines, 48 pixels high, of one width among 120, in any order. All widths are
met once before the clock runs. The ways take turns, each in a process of its own, since the number counts from the
first kernel on.

Fails when the median ratio of the first way to the last is below the promised one.
"""

import os
import random
import resource
import statistics
import subprocess
import sys
import time

from visionkit.launch import KERNELS

CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
WAYS = {"oneDNN's own": ("1024", 1), "visionkit's number": (KERNELS, 1), "padded, visionkit's number": (KERNELS, 64)}
PROMISED = 1.1
HEIGHT, LINES, WIDTHS = 48, 16, range(400, 880, 4)


def step_s(multiple: int) -> float:
    """Of a step, over every width in the second round of them."""
    import torch

    from visionkit.decoders.recurrent_ctc import RecurrentCTC
    from visionkit.encoders.line_convs import LineConvs

    network = torch.nn.Sequential(LineConvs().to(memory_format=torch.channels_last), RecurrentCTC(128, 80))
    encoder, decoder = network.train()
    begin, widths = 0.0, random.Random(0).sample(WIDTHS, len(WIDTHS))
    for _ in range(2):
        begin = time.perf_counter()
        for width in widths:
            padded = -(-width // multiple) * multiple
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = decoder(encoder(torch.rand(LINES, 1, HEIGHT, padded))[0])
            logits.float().square().mean().backward()
    return (time.perf_counter() - begin) / len(widths)


def measured(kept: str, multiple: int) -> tuple[float, float]:
    """Seconds a step and the largest memory in GiB, in a process that keeps so many kernels."""
    command = [sys.executable, __file__, "step", str(multiple)]
    done = subprocess.run(command, env={**os.environ, CAPACITY: kept}, capture_output=True, text=True, check=True)
    seconds, kib = done.stdout.split()
    return float(seconds), int(kib) / 2**20


def main(rounds: int = 2) -> int:
    turns = [{name: measured(*way) for name, way in WAYS.items()} for _ in range(rounds)]
    for name in WAYS:
        seconds, gib = (statistics.median(turn[name][part] for turn in turns) for part in (0, 1))
        print(f"{name}: {seconds * 1e3:.0f} ms a step, {gib:.1f} GiB")
    first, *_, last = WAYS
    ratio = statistics.median(turn[first][0] / turn[last][0] for turn in turns)
    print(f"    faster by {ratio:.2f} (promised: {PROMISED})")
    return 0 if ratio >= PROMISED else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        print(step_s(int(sys.argv[2])), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    else:
        sys.exit(main(*map(int, sys.argv[1:2])))
