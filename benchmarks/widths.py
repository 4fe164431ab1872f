"""Training on lines of many widths, with as many kernels kept as visionkit asks for, against oneDNN's own number.

    python benchmarks/widths.py [rounds]

oneDNN compiles kernels for every shape that it meets and keeps some for the next time. The steps are those of
experiment=handwriting/crnn_iam in bf16: 16 lines, 48 pixels high, of one width among 120. All
widths are met once before the clock runs. The two ways take turns, each in a process of its own, since the number
counts from the first kernel on.

Fails when the median ratio is below the promised one.
"""

import os
import statistics
import subprocess
import sys
import time

from visionkit.launch import KERNELS

CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
KEPT = {"oneDNN's own": "1024", "visionkit's": KERNELS}
PROMISED = 1.05
HEIGHT, LINES, WIDTHS = 48, 16, range(400, 880, 4)


def seconds() -> float:
    """Of a step, over every width in the second round of them."""
    import torch

    from visionkit.decoders.recurrent_ctc import RecurrentCTC
    from visionkit.encoders.line_convs import LineConvs

    network = torch.nn.Sequential(LineConvs().to(memory_format=torch.channels_last), RecurrentCTC(128, 80))
    encoder, decoder = network.train()
    begin = 0.0
    for _ in range(2):
        begin = time.perf_counter()
        for width in WIDTHS:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = decoder(encoder(torch.rand(LINES, 1, HEIGHT, width))[0])
            logits.float().square().mean().backward()
    return (time.perf_counter() - begin) / len(WIDTHS)


def measured(kept: str) -> float:
    """The same in a process that keeps so many kernels."""
    command = [sys.executable, __file__, "step"]
    done = subprocess.run(command, env={**os.environ, CAPACITY: kept}, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main(rounds: int = 2) -> int:
    turns = [{name: measured(kept) for name, kept in KEPT.items()} for _ in range(rounds)]
    for name in KEPT:
        print(f"{name} {KEPT[name]} kernels: {statistics.median(turn[name] for turn in turns) * 1e3:.0f} ms a step")
    ratio = statistics.median(turn["oneDNN's own"] / turn["visionkit's"] for turn in turns)
    print(f"    faster by {ratio:.2f} (promised: {PROMISED})")
    return 0 if ratio >= PROMISED else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["step"]:
        print(seconds())
    else:
        sys.exit(main(*map(int, sys.argv[1:2])))
