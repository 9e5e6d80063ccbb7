"""What several examples cost: one graph of two or three, over captures of each by itself.

python3 dev.py bench several [rounds] [CASE ...]

A case is named as in ``sweep sizes``: ``torchvision/batch/resnet50``. Medians, interleaved, warm.
"forwards" are the model's own at the sizes that a graph of several examples has to be run at: each
example once to record or to tell what is right and once to prove the graph, and one size beyond.
What is left over them is the merge itself.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from typing import Any

import torch

import flexir
from bench import seconds
from zoo import sizes

CASES = (
    "torchvision/batch/resnet18", "torchvision/batch/resnet50", "torchvision/batch/vit_b_16",
    "timm/batch/convnext_atto", "transformers/batch/bert", "transformers/length/gpt2",
    "transformers/batch/whisper",
)  # fmt: skip


def measure(case: str, rounds: int) -> str:
    """The columns of a case."""
    model, first, what = sizes.make(case)
    shown = [first, *(sizes.resized(first, what, step) for step in (1, 2))]
    beyond = sizes.resized(first, what, 3)

    def forward(*examples: Any) -> Callable[[], Any]:
        return lambda: [model(*args, **kwargs) for args, kwargs in examples]

    def captured(*examples: Any) -> Callable[[], Any]:
        return lambda: [flexir.capture(model, *one) for one in examples]

    def merged(*examples: Any) -> Callable[[], Any]:
        also = [flexir.Inputs(*args, **kwargs) for args, kwargs in examples[1:]]
        return lambda: flexir.capture(model, *examples[0], also=also)

    runs = {
        "f2": forward(*shown[:2], *shown[:2], beyond), "f3": forward(*shown, *shown, beyond),
        "c2": captured(*shown[:2]), "c3": captured(*shown),
        "m2": merged(*shown[:2]), "m3": merged(*shown),
    }  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            took = seconds(run)
            if turn:  # the first one warms up
                taken[name].append(took)
    t = {name: statistics.median(all_) * 1e3 for name, all_ in taken.items()}
    return " ".join(
        f"{t[f'c{k}']:8.1f} {t[f'f{k}']:8.1f} {t[f'm{k}']:8.1f} {t[f'm{k}'] / t[f'c{k}']:6.2f}"
        f" {t[f'm{k}'] / t[f'f{k}']:6.2f}" for k in (2, 3)
    )  # fmt: skip


def main(arguments: list[str]) -> None:
    """Print a line for each case."""
    rounds = int(arguments[0]) if arguments else 7
    print("                              " + "".join(f"{k} examples{'':32}" for k in (2, 3)))
    columns = "captures forwards  one graph /capt /forw"
    print(f"{'ms':30}{columns}  {columns}")
    with torch.no_grad():
        for case in arguments[1:] or CASES:
            print(f"{case:28} {measure(case, rounds)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
