"""Where the time of a capture goes: extra time for one call, one module, in the caches.

python3 dev.py bench parts [rounds]

A hundred of each in a row, one thread; the best of many interleaved rounds, because anything else
on the machine only ever adds. What a capture costs at all, an eighth of a millisecond, is included.
*At least* is what a mode and hooks that do nothing cost (:mod:`bench.limit`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import nn

import flexir
from bench import seconds
from bench.limit import watched_by_nothing

COUNT = 100


class Chain(nn.Module):
    """One function, many times."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + 1  # what is written here is not the caller's
        for _ in range(COUNT):
            x = self.function(x)
        return x


def many(make: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Softplus(), *(make() for _ in range(COUNT))).eval()


PARTS = {
    "torch.relu(x)": lambda: Chain(torch.relu),
    "x.add_(1)": lambda: Chain(lambda x: x.add_(1)),
    "x.view(-1, 4)": lambda: Chain(lambda x: x.view(-1, 4)),
    "nn.Identity()": lambda: many(nn.Identity),
    "nn.ReLU()": lambda: many(nn.ReLU),
    "nn.ReLU(inplace=True)": lambda: many(lambda: nn.ReLU(inplace=True)),
    "nn.Dropout()": lambda: many(nn.Dropout),
    "nn.Linear(4, 4)": lambda: many(lambda: nn.Linear(4, 4)),
    "nn.Conv2d(4, 4, 1)": lambda: many(lambda: nn.Conv2d(4, 4, 1)),
    "nn.BatchNorm2d(4)": lambda: many(lambda: nn.BatchNorm2d(4)),
}


def measure(model: nn.Module, rounds: int) -> list[float]:
    """Best times in us for one of the hundred: eager, the limit, with the witness, without."""
    x = torch.randn(1, 4, 4, 4)
    runs: list[Callable[[], object]] = [
        lambda: model(x),
        lambda: watched_by_nothing(model, (x,), {}),
        lambda: flexir.capture(model, (x,)),
        lambda: flexir.capture(model, (x,), audit=False),
    ]
    best = [float("inf")] * len(runs)
    for _ in range(rounds):
        for place, run in enumerate(runs):
            best[place] = min(best[place], seconds(run))
    return [taken / COUNT * 1e6 for taken in best]


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    rounds = int(arguments[0]) if arguments else 100
    print("| | eager us | more at least | more with the witness | over it | without the witness |")
    print("|---" * 6 + "|")
    with torch.no_grad():
        for name, make in PARTS.items():
            eager, *taken = measure(make(), rounds)
            limit, witnessed, alone = (one - eager for one in taken)
            print(f"| `{name}` | {eager:.1f} | {limit:.1f} | {witnessed:.1f} "
                  f"| {witnessed / limit:.1f}x | {alone:.1f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
