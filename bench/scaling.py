"""Long runs and many runs: cost per call at 1,000 and 100,000 calls, memory after 1,000 captures.

python3 dev.py bench scaling
"""

from __future__ import annotations

import functools
import gc
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn

import flexir
from bench import seconds


def chain(x: torch.Tensor, count: int) -> torch.Tensor:
    for _ in range(count // 2):
        x = torch.relu(x) + x
    return x


def extra(count: int, rounds: int) -> float:
    """Microseconds a call costs more under capture, median of interleaved rounds."""
    function, x = functools.partial(chain, count=count), torch.rand(4)
    found = []
    for _ in range(rounds + 1):
        eager = seconds(lambda: function(x))
        found.append((seconds(lambda: flexir.capture(function, (x,))) - eager) / count * 1e6)
    return statistics.median(found[1:])


def resident() -> float:
    """Resident size in MB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def small(number: int) -> nn.Module:
    """A module of its own class, as a test suite makes them."""

    class Part(nn.Sequential):
        pass

    return Part(nn.Linear(4, 4 + number % 3), nn.ReLU())


def main() -> None:
    torch.set_num_threads(1)
    with torch.no_grad():
        short, long = extra(1_000, 15), extra(100_000, 3)
        print(f"extra us per call: {short:.1f} at 1,000 calls, {long:.1f} at 100,000 "
              f"({long / short:.2f}x)")  # fmt: skip
        model, x = small(0), torch.rand(2, 4)
        for _ in range(100):
            flexir.capture(model, (x,))
        gc.collect()
        before = resident()
        for _ in range(1_000):
            flexir.capture(model, (x,))
        gc.collect()
        print(f"1,000 captures of one small model: {resident() - before:+.1f} MB")
        times = []
        before = resident()
        for number in range(1_000):
            one = small(number)
            start = time.perf_counter()
            flexir.capture(one, (x,))
            times.append(time.perf_counter() - start)
        gc.collect()
        first, last = statistics.median(times[:100]), statistics.median(times[-100:])
        print(f"1,000 different modules: {resident() - before:+.1f} MB, "
              f"{first * 1e6:.0f} us at first, {last * 1e6:.0f} us at last")  # fmt: skip


if __name__ == "__main__":
    main()
    sys.exit(0)
