"""What looking at a model's state costs a capture: ``python3 dev.py bench state``.

Models of about 1,000 modules, with small and with ordinary tensors. Captures that look at the model
before the run and compare it afterwards, and captures that only give modules and weights their
names, take turns; the cost is the difference. Beside it the look and the comparison, timed alone
between captures. Time is the processor's, which other work on
the machine stretches less; medians of 21.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from flexir.recording.attributes import TensorAttributes
from flexir.recording.recorder import record_run
from flexir.recording.state import Holdings

ROUNDS = 21


class Names(Holdings):
    """Names alone, by the shortest way there is."""

    def __init__(self, model: nn.Module) -> None:
        self.paths, self.tensors, self.unwatched = {}, {}, []
        self._holders, self._plain, self._todo, self._tree = {}, {}, [], None
        self._beside = TensorAttributes([])
        stack: list[tuple[str, Any]] = [("", model)]
        while stack:
            path, module = stack.pop()
            self.paths[id(module)] = (path, module)
            if module._parameters:
                self._name_all("parameter", path, module._parameters)
            if module._buffers:
                self._name_all("buffer", path, module._buffers)
            if module._modules:
                prefix = f"{path}." if path else ""
                stack += [(prefix + name, one) for name, one in reversed(module._modules.items())]


def blocks(width: int) -> nn.Module:
    """333 blocks of three modules."""
    parts = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(333)]
    return nn.Sequential(*parts).eval()


def timed(function: Callable[[], object]) -> tuple[float, Any]:
    """Milliseconds of the processor, and what the call returned."""
    start = time.process_time()
    made = function()
    return (time.process_time() - start) * 1e3, made


def capture(model: nn.Module, x: torch.Tensor, look: Callable[[nn.Module], Holdings]) -> float:
    """A capture that begins with such a look."""
    return timed(lambda: record_run(model, (x,), {}, witness=True, held=look(model)))[0]


def alone(model: nn.Module) -> tuple[float, float]:
    """The look and the comparison."""
    gc.disable()  # as it is during a capture
    look, held = timed(lambda: Holdings(model))
    compare, _ = timed(held.compare)
    gc.enable()
    return look, compare


def main() -> None:
    print("| model | capture, ms | without the look | cost | look alone | comparison alone |")
    print("|---|---|---|---|---|---|")
    for width, rows in ((4, 1), (256, 64)):
        model, x = blocks(width), torch.rand(rows, width)

        columns: list[tuple[float, ...]] = []
        with torch.no_grad():
            for _ in range(ROUNDS + 2):
                whole, names = capture(model, x, Holdings), capture(model, x, Names)
                columns.append((whole, names, *alone(model)))
        whole, names, look, compare = map(statistics.median, zip(*columns[2:]))
        print(
            f"| 1,000 modules, {rows}x{width} | {whole:.1f} | {names:.1f} "
            f"| {(whole - names) / whole:.1%} | {look:.2f} | {compare:.2f} |"
        )


if __name__ == "__main__":
    main()
