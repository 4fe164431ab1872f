"""TEDS of noisy tables of 20 to 220 nodes: ours against plain Python, and a table of 1000 cells.

    python benchmarks/teds.py [rounds]

The alternative is what the published script does: the page's tree in Python objects, the edit distance of APTED where
``apted`` is installed (else that of Zhang and Shasha in plain Python), and an edit distance of two lists of tokens each
time that two cells are compared. Both take turns on the same pages. Fails when the results differ by more than 1e-12,
or when the ratio of the fastest rounds is below the promised one.
"""

import sys
import time
from types import SimpleNamespace

import numpy as np
from lxml import html

from visionkit.datasets.table_content import Form, compose
from visionkit.labels import Cell, Table
from visionkit.metrics.teds.teds import teds
from visionkit.text.table_grid import structure_of
from visionkit.text.table_html import table_html

TOLERANCE, PROMISED = 1e-12, 100.0
SHAPES = ((4, 3), (8, 5), (14, 8), (24, 8))


def page(rng: np.random.Generator, rows: int, columns: int) -> Table:
    text = compose(rng, Form(words=4), columns, rows)
    return Table(structure_of(text.grid), tuple(Cell(text.tokens(index)) for index in range(len(text.runs))))


def noisy(rng: np.random.Generator, table: Table, share: float = 0.15) -> Table:
    """Some cells lose or swap characters, and one row is lost."""
    cells = []
    for cell in table.cells:
        tokens = list(cell.tokens)
        if len(tokens) > 2 and rng.random() < share:
            at = int(rng.integers(1, len(tokens) - 1))
            tokens[at : at + 1] = ["x", *tokens[at : at + 1]][: int(rng.integers(0, 3))]
        cells.append(Cell(tuple(tokens)))
    starts = [place for place, token in enumerate(table.structure) if token == "<tr>"]
    first = starts[-1]
    last = first + table.structure[first:].index("</tr>") + 1
    lost = sum(token in ("<td>", "<td") for token in table.structure[first:last])
    return Table(table.structure[:first] + table.structure[last:], tuple(cells[: len(cells) - lost]))


def levenshtein(first: list[str], second: list[str]) -> int:
    line = list(range(len(second) + 1))
    for i, left in enumerate(first):
        above, line[0] = line[0], i + 1
        for j, right in enumerate(second):
            above, line[j + 1] = line[j + 1], min(line[j + 1] + 1, line[j] + 1, above + (left != right))
    return line[-1]


def node(element) -> SimpleNamespace:
    def tokens(inner):
        yield from inner.text or ""
        for child in inner:
            yield f"<{child.tag}>"
            yield from tokens(child)
            yield f"</{child.tag}>"
            yield from child.tail or ""

    cell = element.tag == "td"
    spans = tuple(int(element.get(name, "1")) for name in ("colspan", "rowspan")) if cell else ()
    children = [] if cell else [node(child) for child in element]
    return SimpleNamespace(label=(element.tag, spans), content=list(tokens(element)) if cell else [], children=children)


def rename(first: SimpleNamespace, second: SimpleNamespace) -> float:
    if first.label != second.label:
        return 1.0
    if not (first.content or second.content):
        return 0.0
    return levenshtein(first.content, second.content) / max(len(first.content), len(second.content))


def zhang_shasha(first: SimpleNamespace, second: SimpleNamespace) -> float:
    sides = []
    for tree in (first, second):
        nodes, left = [], []

        def visit(item, nodes=nodes, left=left):
            begins = len(nodes)
            for child in item.children:
                visit(child)
            nodes.append(item)
            left.append(begins)

        visit(tree)
        roots = sorted({begins: place for place, begins in enumerate(left)}.values())
        sides.append((nodes, left, roots))
    (nodes_1, left_1, roots_1), (nodes_2, left_2, roots_2) = sides
    trees: dict[tuple[int, int], float] = {}
    for root_1 in roots_1:
        for root_2 in roots_2:
            begin_1, begin_2 = left_1[root_1], left_2[root_2]
            table = [[float(y) for y in range(root_2 - begin_2 + 2)]]
            for x, place_1 in enumerate(range(begin_1, root_1 + 1), 1):
                row = [float(x)]
                for y, place_2 in enumerate(range(begin_2, root_2 + 1), 1):
                    best = min(table[x - 1][y], row[y - 1]) + 1
                    if left_1[place_1] == begin_1 and left_2[place_2] == begin_2:
                        best = min(best, table[x - 1][y - 1] + rename(nodes_1[place_1], nodes_2[place_2]))
                        trees[place_1, place_2] = best
                    else:
                        before = table[left_1[place_1] - begin_1][left_2[place_2] - begin_2]
                        best = min(best, before + trees[place_1, place_2])
                    row.append(best)
                table.append(row)
    return trees[len(nodes_1) - 1, len(nodes_2) - 1]


def alternative():
    try:
        from apted import APTED, Config
    except ImportError:
        return "plain Python (Zhang-Shasha)", zhang_shasha
    config = type("Costs", (Config,), {"rename": staticmethod(rename)})()
    return "plain Python (APTED)", lambda first, second: APTED(first, second, config).compute_edit_distance()


def by(distance, prediction: str, truth: str) -> float:
    tables = [html.fromstring(text).xpath("body/table")[0] for text in (prediction, truth)]
    nodes = max(len(table.xpath(".//*")) for table in tables)
    return 1 - distance(node(tables[0]), node(tables[1])) / nodes


def run(function, pairs) -> tuple[float, list[float]]:
    start = time.process_time()  # others may use the machine, too
    results = [function(*pair) for pair in pairs]
    return time.process_time() - start, results


def main(rounds: int = 2) -> None:
    rng = np.random.default_rng(0)
    name, distance = alternative()
    tables = [page(rng, *shape) for shape in SHAPES]
    pairs = [(table_html(noisy(rng, table)), table_html(table)) for table in tables]
    run(teds, pairs)  # compiles
    ours, theirs = [], []
    for _ in range(rounds):
        seconds, found = run(teds, pairs)
        ours.append(seconds)
        seconds, expected = run(lambda *pair: by(distance, *pair), pairs)
        theirs.append(seconds)
        difference = max(abs(a - b) for a, b in zip(found, expected, strict=True))
        if not difference <= TOLERANCE:
            sys.exit(f"the results differ by {difference}")
    ratio = min(theirs) / min(ours)
    print(f"TEDS of {len(pairs)} pairs {', '.join(f'{value:.4f}' for value in found)}, difference {difference:.1e}")
    print(f"{'ours':>28}: {min(ours) * 1e3:9.1f} ms")
    print(f"{name:>28}: {min(theirs) * 1e3:9.1f} ms")
    print(f"{'ratio':>28}: {ratio:9.1f} (promised: {PROMISED:.0f})")
    large = page(rng, 99, 10)
    seconds, (value,) = run(teds, [(table_html(noisy(rng, large)), table_html(large))])
    print(f"{len(large.cells)} cells: {seconds * 1e3:.0f} ms, TEDS {value:.4f}")
    if ratio < PROMISED:
        sys.exit("slower than promised")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
