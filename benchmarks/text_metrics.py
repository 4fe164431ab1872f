"""Character and word error rate of 10,000 lines: ours against jiwer where it is installed, else against torchmetrics.

    python benchmarks/text_metrics.py [rounds]

torchmetrics computes the edits in plain Python; it is timed on some of the lines, and its time for all of them is
taken in proportion. Measured side by side elsewhere, jiwer was 10.6 times as fast as torchmetrics for characters and
1.6 times for words, so the promise against jiwer (100 and 10) becomes one of 1060 and 16. Both take turns on the same
lines, and processor time is what counts, since neither uses threads. Fails when the rates differ, or when a median
ratio is below the promised one.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from torchmetrics.functional.text import char_error_rate
from torchmetrics.functional.text import word_error_rate as torchmetrics_wer

from visionkit.metrics.text import character_error_rate, word_error_rate

LINES, SOME = 10_000, {"CER": 300, "WER": 900}
TOLERANCE = 1e-6
"""torchmetrics keeps float32."""
Rate = Callable[[list[str], list[str]], float]


def lines() -> tuple[list[str], list[str]]:
    """Read and true lines of about 43 characters, 6 % of which were read wrongly."""
    generator = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    words = ["".join(generator.choice(letters, generator.integers(1, 10))) for _ in range(2000)]
    true = [" ".join(generator.choice(words, 8)) for _ in range(LINES)]
    read = []
    for line in true:
        draws = generator.random(len(line))
        kept = [
            character if draw > 0.06 else "" if draw < 0.02 else "x" if draw < 0.04 else character + "x"
            for character, draw in zip(line, draws, strict=True)
        ]
        read.append("".join(kept))
    return read, true


def alternatives() -> tuple[str, dict[str, tuple[Rate, int, float]]]:
    """Name; for each rate the function, how many lines it is timed on, and the promised ratio."""
    try:
        import jiwer
    except ImportError:
        theirs = {"CER": (char_error_rate, 1060.0), "WER": (torchmetrics_wer, 16.0)}
        return "torchmetrics", {
            name: (lambda read, true, rate=rate: float(rate(read, true)), SOME[name], promised)  # type: ignore[misc]
            for name, (rate, promised) in theirs.items()
        }
    return "jiwer", {
        "CER": (lambda read, true: jiwer.cer(true, read), LINES, 100.0),
        "WER": (lambda read, true: jiwer.wer(true, read), LINES, 10.0),
    }


def timed(rate: Rate, read: list[str], true: list[str]) -> tuple[float, float]:
    start = time.process_time()
    value = rate(read, true)
    return time.process_time() - start, value


def main(rounds: int = 5) -> int:
    read, true = lines()
    name, theirs = alternatives()
    good = True
    for what, ours in (("CER", character_error_rate), ("WER", word_error_rate)):
        rate, count, promised = theirs[what]
        seconds: dict[str, list[float]] = {"ours": [], name: []}
        for _ in range(rounds + 1):
            elapsed, value = timed(ours, read, true)
            seconds["ours"].append(elapsed)
            elapsed, their_value = timed(rate, read[:count], true[:count])
            seconds[name].append(elapsed * LINES / count)
        same = ours(read[:count], true[:count])
        medians = {way: statistics.median(times[1:]) for way, times in seconds.items()}  # the first round warms up
        ratio = medians[name] / medians["ours"]
        print(f"{what} {value:.4f}: ours {medians['ours'] * 1e3:.1f} ms, {name} {medians[name] * 1e3:.0f} ms")
        difference = abs(same - their_value)
        print(f"    ratio {ratio:.1f} (promised: {promised:.0f}), difference on {count} lines {difference:.1e}")
        good &= ratio >= promised and difference <= TOLERANCE
    if not good:
        print("slower than promised, or wrong")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
