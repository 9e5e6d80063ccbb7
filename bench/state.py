"""What looking at a model's state costs a capture: ``python3 dev.py bench state``.

Models of about 1,000 modules, with small and with ordinary tensors. The look at the model before
the run and the comparison after it are timed alone, in the same process, over the capture.
"""

from __future__ import annotations

import gc
import statistics
import time

import torch
from torch import nn

import flexir
from flexir.recording.state import Holdings


def blocks(width: int) -> nn.Module:
    """333 blocks of three modules."""
    parts = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(333)]
    return nn.Sequential(*parts).eval()


def main() -> None:
    print("| model | capture, ms | look, ms | compare, ms | share |\n|---|---|---|---|---|")
    for width, rows in ((4, 1), (256, 64)):
        model, x = blocks(width), torch.rand(rows, width)
        captures, looks, comparisons = [], [], []
        with torch.no_grad():
            flexir.capture(model, (x,))
            for _ in range(11):
                start = time.perf_counter()
                flexir.capture(model, (x,))
                captures.append(time.perf_counter() - start)
                gc.disable()  # as it is during a capture
                start = time.perf_counter()
                held = Holdings(model)
                middle = time.perf_counter()
                held.compare()
                comparisons.append(time.perf_counter() - middle)
                looks.append(middle - start)
                gc.enable()
        total, look, compare = map(statistics.median, (captures, looks, comparisons))
        print(
            f"| 1,000 modules, {rows}x{width} | {total * 1e3:.1f} | {look * 1e3:.2f} "
            f"| {compare * 1e3:.2f} | {(look + compare) / total:.1%} |"
        )


if __name__ == "__main__":
    main()
