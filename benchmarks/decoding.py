"""Greedy decoding with a cache, and with drafts from n-grams, against a decoder without a cache.

    python benchmarks/decoding.py [rounds]

A random transformer (width 256, 3 layers, 8 heads) reads a memory of 300 cells; its outputs are forced to given
sequences, so that acceptance is that of a model which reproduces them. The alternative runs the whole prefix again
for every token and computes the memory's keys and values each time, as decoders without a cache do. The sequences are
the structure tokens of real tables where VISIONKIT_DATA holds pubtabnet (joined and cut to the length), else of
generated tables; and characters in no order, for which drafts must not cost much.

Ratios are of runs that follow each other. Fails when outputs differ, when log-probabilities differ by more than 1e-3,
or when the median of a ratio is below the promised one.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from visionkit.decoders.autoregressive import TransformerDecoder
from visionkit.generation.greedy import greedy
from visionkit.generation.ngram_draft import NGramDraft
from visionkit.generation.result import Decoded
from visionkit.generation.speculative import speculative
from visionkit.labels import WordList
from visionkit.text.tokenizers import WordTokenizer

CELLS, WIDTH, FORCE, TOLERANCE = 300, 256, 50.0, 1e-3
CACHED = {200: 5.0, 500: 9.0, 1000: 15.0}
"""Promised ratios of uncached to cached, by length."""
DRAFTED = {200: 25.0, 500: 25.0, 1000: 25.0}
"""Of uncached to drafted, for structure tokens."""
TEXT_COST = 0.8
"""Of cached to drafted for characters in no order: where drafts never help, they may cost no more."""
SLOW = {200: 8, 500: 4, 1000: 4}
"""Turns in which the alternative runs: one run alone says little of a busy machine."""


class Forced:
    """A decoder that says a given sequence and then the end, whatever it computes."""

    def __init__(self, decoder: TransformerDecoder, tokens: list[int]) -> None:
        self.decoder, self.vocabulary = decoder, decoder.vocabulary
        self.bonus = FORCE * torch.nn.functional.one_hot(torch.tensor([*tokens, 0] + [0] * 64), self.vocabulary).float()

    def start(self, memory: Tensor, valid: Tensor | None = None):
        return self.decoder.start(memory, valid)

    def step(self, tokens: Tensor, state):
        before = int(state.lengths[0])
        logits, state = self.decoder.step(tokens, state)
        return logits + self.bonus[before : before + tokens.shape[1]], state


class Uncached:
    """The same, with the whole prefix and the memory again for every token: what ``greedy`` sees is one token."""

    def __init__(self, forced: Forced) -> None:
        self.forced, self.vocabulary = forced, forced.vocabulary

    def start(self, memory: Tensor, valid: Tensor | None = None):
        return (memory, valid, torch.empty(len(memory), 0, dtype=torch.int64))

    def step(self, tokens: Tensor, state):
        memory, valid, before = state
        prefix = torch.cat([before, tokens], 1)
        logits, _ = self.forced.step(prefix, self.forced.start(memory, valid))
        return logits[:, -1:], (memory, valid, prefix)


def real_structures(root: Path) -> list[list[str]]:
    files = sorted((root / "pubtabnet").glob("*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [line["html"]["structure"]["tokens"] for line in lines if "html" in line]


def generated_structures(count: int) -> list[list[str]]:
    """Tables with a head, rows of the same number of cells, and now and then a cell over several columns."""
    generator, tables = np.random.default_rng(0), []
    for _ in range(count):
        columns, tokens = int(generator.integers(3, 9)), ["<thead>"]
        for row in range(int(generator.integers(6, 20))):
            tokens += ["</thead>", "<tbody>"] * (row == 1) + ["<tr>"]
            cell = 0
            while cell < columns:
                span = (
                    int(generator.integers(2, columns - cell + 1))
                    if generator.random() < 0.05 and cell < columns - 2
                    else 1
                )
                tokens += ["<td>", "</td>"] if span == 1 else ["<td", f' colspan="{span}"', ">", "</td>"]
                cell += span
            tokens.append("</tr>")
        tables.append([*tokens, "</tbody>"])
    return tables


def structures() -> tuple[str, list[list[str]]]:
    root = Path(os.environ.get("VISIONKIT_DATA", ""))
    tables = real_structures(root) if os.environ.get("VISIONKIT_DATA") else []
    return ("real tables", tables) if tables else ("generated tables", generated_structures(40))


def sequences(length: int, tables: list[list[str]], tokenizer: WordTokenizer, count: int = 4) -> list[list[int]]:
    """Tables joined where one is too short; each begins with another one, those of the right size first."""
    order = sorted(
        range(len(tables)), key=lambda index: (len(tables[index]) < length, abs(len(tables[index]) - length))
    )
    rows = []
    for first in range(count):
        turn = order[first:] + order[:first]
        joined = [token for index in turn for token in tables[index]]
        rows.append(tokenizer.encode_tokens(joined)[:length])
    return rows


def timed(run: Callable[[], Decoded]) -> tuple[float, Decoded]:
    start = time.perf_counter()
    decoded = run()
    return time.perf_counter() - start, decoded


def same(decoded: Decoded, expected: Decoded, tokens: list[int]) -> bool:
    close = torch.allclose(decoded.log_probs, expected.log_probs, rtol=0, atol=TOLERANCE)
    return decoded.rows() == expected.rows() == [tokens] and bool(decoded.ended.all()) and close


Turn = dict[str, float]
"""Seconds of each way, measured one after the other."""


def compare(name: str, rows: list[list[int]], vocabulary: int, rounds: int, slow: int = 0) -> list[Turn]:
    """All ways take turns over the sequences and rounds, the uncached one in the first ``slow`` turns; empty where
    outputs differ.
    """
    torch.manual_seed(0)
    decoder = TransformerDecoder((WIDTH,), (16,), vocabulary=vocabulary, width=WIDTH).eval()
    memory, length = torch.randn(1, CELLS, WIDTH), len(rows[0])
    greedily = partial(greedy, memory=memory, start=0, end=0, max_length=length + 1)
    turns: list[Turn] = []
    for tokens in rows * rounds:
        forced = Forced(decoder, tokens)
        ways: dict[str, Callable[[], Decoded]] = {
            "cached": partial(greedily, forced),
            "drafted": partial(speculative, forced, memory, start=0, end=0, max_length=length + 1, draft=NGramDraft),
        }
        if len(turns) < slow:
            ways["uncached"] = partial(greedily, Uncached(forced))
        results = {way: timed(run) for way, run in ways.items()}
        expected = results["cached"][1]
        if not all(same(decoded, expected, tokens) for _, decoded in results.values()):
            print(f"{name}, {length}: the outputs differ")
            return []
        turns.append({way: seconds for way, (seconds, _) in results.items()})
    print(f"{name}, {length}: " + ", ".join(f"{way} {median(turns, way) * 1e3:.0f} ms" for way in turns[0]))
    return turns


def median(turns: list[Turn], way: str, other: str | None = None) -> float:
    """Of the seconds of one way, or of their ratio to another's in the same turn, so that a busy moment slows both."""
    return statistics.median(turn[way] / (turn[other] if other else 1) for turn in turns if way in turn)


def report(what: str, ratio: float, promised: float) -> bool:
    print(f"    {what} {ratio:6.2f} (promised: {promised:.1f})")
    return ratio >= promised


def main(rounds: int = 2) -> int:
    name, tables = structures()
    words = WordTokenizer(WordList(tuple(sorted({token for table in tables for token in table})), ""))
    print(f"{name}, {len(tables)} of them; {torch.get_num_threads()} threads; memory of {CELLS} cells, width {WIDTH}")
    good = bool(compare("warm-up", sequences(50, tables, words, 1), words.size, 1, slow=1))
    for length, promised in CACHED.items():
        turns = compare(name, sequences(length, tables, words), words.size, rounds, SLOW[length])
        if not turns:
            return 1
        good &= report("uncached / cached ", median(turns, "uncached", "cached"), promised)
        good &= report("uncached / drafted", median(turns, "uncached", "drafted"), DRAFTED[length])
        report("cached / drafted  ", median(turns, "cached", "drafted"), 3.0)
    letters = np.random.default_rng(1).integers(1, 95, (8, 200)).tolist()
    turns = compare("characters in no order", letters, 95, rounds)
    good &= bool(turns) and report("cached / drafted  ", median(turns, "cached", "drafted"), TEXT_COST)
    if not good:
        print("slower than promised, or wrong")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
