"""What each step costs a node, from 100 nodes to a million, and memory after many captures.

python3 dev.py bench scaling [largest, 1000000 if not given] [step ...]

Prints a table and, of all steps, draws ``docs/images/scaling.svg``.

The model is a row of small modules of their own, each with a weight and four calls. Costs are in
processor time, so a busy machine changes them less; a step is repeated until it has taken a second,
seven times at most, and the median counts. What would take over a minute is left out (--).
"""

from __future__ import annotations

import gc
import itertools
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import flexir
from bench import plot, seconds
from flexir import describe, passes

PARTS = 5  # nodes of a Step
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
DRAWN = {
    "capture": "capture, eager included", "save": "save", "load": "load", "convert": "convert",
    "replay": "replay", "text": "text", "check": "check",
}  # fmt: skip
PLOT = Path(__file__).resolve().parents[1] / "docs" / "images" / "scaling.svg"


class Step(nn.Module):
    """Four calls and the module's own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((4,), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(F.silu(x) + x) * self.scale


class Row(nn.Module):
    """As many steps as make a graph of so many nodes."""

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(Step() for _ in range(nodes // PARTS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            x = step(x)
        return x


def cost(function: Callable[[], object]) -> float:
    """Median processor time of a few runs, in seconds."""
    found: list[float] = []
    while len(found) < 7 and sum(found) < 1:
        gc.collect()
        start = time.process_time()
        kept = function()
        found.append(time.process_time() - start)
        del kept
    return statistics.median(found)


@passes.pattern
def doubled(x):
    return F.silu(x) + x


def steps(nodes: int, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is measured, in an order in which each finds what it needs."""
    model, x = Row(nodes).eval(), torch.rand(2, 4)
    saved = str(folder / "row.flexir")
    yield "eager", lambda: model(x)
    yield "capture, eager included", lambda: flexir.capture(model, (x,))
    graph = flexir.capture(model, (x,))
    yield "walk", lambda: [(node.args, node.outputs) for node in graph.walk()]
    yield "replay", lambda: graph(x)
    yield "verify, eager included", lambda: flexir.verify(graph, model, (x,))
    yield "check", graph.check
    yield "text", graph.text
    yield "save", lambda: graph.save(saved)
    yield "load", lambda: flexir.load(saved)
    yield "convert", lambda: flexir.convert(graph, target=describe, out=[])
    result = flexir.convert(graph, target=describe, out=[])
    yield "report", lambda: str(result.report)
    nothing = flexir.Target("nothing")
    yield (
        "convert and report, all placeholders",
        lambda: str(flexir.convert(graph, target=nothing, out=[]).report),
    )
    yield "decompose", lambda: passes.decompose(graph, lambda node: node.op != "silu")
    yield "a pattern replaced", lambda: doubled.replace(graph)
    for rule in (passes.merge_common, passes.fold_constants, passes.remove_noops,
                 passes.remove_dead):  # fmt: skip
        yield rule.__name__, lambda rule=rule: rule(graph)


def table(largest: int, only: Sequence[str] = ()) -> None:
    """Print what a node costs, a row for each step and a column for each size."""
    sizes = list(itertools.takewhile(lambda n: n <= largest, SIZES))
    found: dict[str, dict[int, float]] = {}
    for nodes in sizes:
        with tempfile.TemporaryDirectory() as name:
            for what, function in steps(nodes, Path(name)):
                if only and what not in only:
                    continue
                each = found.setdefault(what, {})
                if each and min(each.values()) * nodes > 60:
                    continue
                each[nodes] = cost(function) / nodes
                print(f"{nodes:>9,} {what:38} {each[nodes] * 1e6:8.2f} us a node",
                      file=sys.stderr, flush=True)  # fmt: skip
    print("| us of processor time a node | " + " | ".join(f"{n:,}" for n in sizes)
          + " | last over 10,000 |")  # fmt: skip
    print("|---" * (len(sizes) + 2) + "|")
    for what, each in found.items():
        cells = [f"{each[n] * 1e6:.2f}" if n in each else "--" for n in sizes]
        ratio = each[max(each)] / each.get(10_000, each[min(each)])
        print(f"| {what} | {' | '.join(cells)} | {ratio:.2f} |")
    if only:
        return
    drawn = {label: {n: c * 1e6 for n, c in found[what].items()} for label, what in DRAWN.items()}
    plot.lines(PLOT, "Microseconds a node", "nodes of the graph", drawn)


def resident() -> float:
    """Resident size in MB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def small(number: int) -> nn.Module:
    """A module of its own class, as a test suite makes them."""

    class Part(nn.Sequential):
        pass

    return Part(nn.Linear(4, 4 + number % 3), nn.ReLU())


def many() -> None:
    """Print what a thousand captures leave behind."""
    model, x = small(0), torch.rand(2, 4)
    for _ in range(100):
        flexir.capture(model, (x,))
    gc.collect()
    before = resident()
    for _ in range(1_000):
        flexir.capture(model, (x,))
    gc.collect()
    print(f"\n1,000 captures of one small model: {resident() - before:+.1f} MB")
    times = []
    before = resident()
    for number in range(1_000):
        one = small(number)
        times.append(seconds(lambda one=one: flexir.capture(one, (x,))))
    gc.collect()
    first, last = statistics.median(times[:100]), statistics.median(times[-100:])
    print(f"1,000 different modules: {resident() - before:+.1f} MB, "
          f"{first * 1e6:.0f} us at first, {last * 1e6:.0f} us at last")  # fmt: skip


def main(arguments: list[str]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with torch.no_grad():
        if not arguments[1:]:
            many()
        table(int(arguments[0]) if arguments else 1_000_000, arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
